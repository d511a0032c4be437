/* A stand-in for the driver's libnvidia-ml.so.1: two GPUs whose counter the environment sets. */
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned pid; unsigned long long memory; unsigned gi, ci; } process_t;

int nvmlInitWithFlags(unsigned flags) { return getenv("FAKE_NO_DRIVER") ? 9 : 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return "error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  *device = (void *)(size_t)(index + 1);
  return 0;
}
int nvmlDeviceGetMinorNumber(void *device, unsigned *minor) {
  *minor = (unsigned)(size_t)device - 1;
  return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
  const char *value = getenv(device == (void *)1 ? "FAKE_MJ_0" : "FAKE_MJ_1");
  if (!value) return 3; /* not supported */
  *millijoules = strtoull(value, 0, 10);
  return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process_t *found) {
  const char *value = getenv("FAKE_PROCESSES");
  unsigned n = value ? (unsigned)atoi(value) : 0;
  if (n == 0) { *count = 0; return 0; }
  if (*count < n) { *count = n; return 7; /* insufficient size */ }
  memset(found, 0, n * sizeof *found);
  for (unsigned i = 0; i < n; i++) found[i].pid = 100 + i;
  *count = n;
  return 0;
}
