"""What doctor reads of a machine, on trees of files as Linux shows them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.cli.doctor.energy import OPEN, processor_counter, virtual
from workbench.cli.doctor.gpu import builds, gpu, torch_sees
from workbench.cli.doctor.limits import memory_limit, usable_cores


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_quota_of_a_container_counts_in_both_versions_of_cgroups(tmp_path: Path) -> None:
    proc = write(tmp_path / "proc", {"self/cgroup": "4:memory:/a/b\n1:cpu,cpuacct:/a\n0::/a/b\n"})
    assert usable_cores(proc, tmp_path / "none") == len(os.sched_getaffinity(0))
    assert memory_limit(proc, tmp_path / "none") is None
    second = write(
        tmp_path / "2",
        {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n", "a/b/memory.max": "max\n"},
    )
    assert usable_cores(proc, second) == 1
    assert memory_limit(proc, second) is None
    write(second, {"memory.max": "2000000000\n"})
    assert memory_limit(proc, second) == 2_000_000_000
    first = write(
        tmp_path / "1",
        {
            # Of a container, whose path in the host's tree is not seen: only the top is there.
            "cpu/cpu.cfs_quota_us": "100000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/a/memory.limit_in_bytes": "1000000000\n",
        },
    )
    assert usable_cores(proc, first) == 1
    assert memory_limit(proc, first) == 1_000_000_000


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything; these lines run as somebody who may not."""
    if os.geteuid() != 0:
        yield
        return
    group = os.getegid()
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


@pytest.fixture
def counters() -> Iterator[Path]:
    """A tree with two energy counters, below a folder that everyone may enter."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    for name in ("intel-rapl:0", "intel-rapl:0:0"):
        write(root, {f"class/powercap/{name}/energy_uj": "12345\n"})
    yield root
    shutil.rmtree(root)


def test_a_counter_that_a_user_may_not_read_gets_the_command_and_its_danger(counters: Path) -> None:
    files = sorted(counters.rglob("energy_uj"))
    for file in files:
        file.chmod(0o400)
        if os.geteuid() != 0:
            file.chmod(0)
    with as_nobody():
        (closed,) = processor_counter(counters)
    assert closed.state == "note"
    assert "you may not read it (Permission denied)" in closed.found
    assert closed.fix == OPEN
    assert "PLATYPUS" in closed.matters
    # The very command, on the tree of this test.
    command = closed.fix.removeprefix("sudo ").replace("/sys/", f"{counters}/")
    assert os.system(command) == 0
    with as_nobody():
        (opened,) = processor_counter(counters)
    assert opened.state == "good"
    assert "readable" in opened.found


def test_a_virtual_machine_without_counters_is_said_in_words_and_is_no_fault(
    tmp_path: Path,
) -> None:
    proc = write(tmp_path / "proc", {"cpuinfo": "processor : 0\nflags\t\t: fpu hypervisor sse\n"})
    (finding,) = processor_counter(tmp_path, proc)
    assert finding.state == "good"
    assert "a virtual machine, which does not see the counters of its host" in finding.found
    write(proc, {"cpuinfo": "processor : 0\nflags\t\t: fpu sse\n"})
    assert virtual(tmp_path, proc) == ""


def card(sys_: Path, number: int, vendor: str, driver: str = "") -> None:
    device = f"bus/pci/devices/0000:0{number}:00.0"
    write(sys_, {f"{device}/vendor": f"{vendor}\n", f"{device}/class": "0x030200\n"})
    if driver:
        (sys_ / "drivers" / driver).mkdir(parents=True, exist_ok=True)
        (sys_ / device / "driver").symlink_to(sys_ / "drivers" / driver)


def test_no_gpu_is_no_fault(tmp_path: Path) -> None:
    (finding,) = gpu(tmp_path, tmp_path, tmp_path)
    assert (finding.state, finding.fix) == ("good", "")
    assert finding.found == "none; everything runs on the processor"


def test_a_card_without_its_driver_is_named_with_what_installs_it(tmp_path: Path) -> None:
    card(tmp_path / "sys", 1, "0x10de")
    (finding,) = gpu(tmp_path / "dev", tmp_path / "sys", tmp_path / "proc")
    assert finding.state == "note"
    assert finding.found == "NVIDIA: 1 found, but it cannot be used"
    assert "install" in finding.fix


def test_a_gpu_that_torch_is_not_built_for_is_said_without_importing_torch(tmp_path: Path) -> None:
    if builds() != {}:
        pytest.skip("not run: needs a torch that is built for processors only")
    card(tmp_path / "sys", 1, "0x10de", "nvidia")
    write(tmp_path / "dev", {"nvidia0": "", "nvidiactl": ""})
    write(
        tmp_path / "proc",
        {"driver/nvidia/gpus/0000:01:00.0/information": "Model: \t NVIDIA H100 80GB\nIRQ: 1\n"},
    )
    (finding,) = gpu(tmp_path / "dev", tmp_path / "sys", tmp_path / "proc")
    assert finding.state == "note"
    assert finding.found == ("NVIDIA: NVIDIA H100 80GB, but this torch is built without it")
    assert "pip install --force-reinstall --no-deps torch==" in finding.fix


def test_the_graphics_of_a_processor_are_not_taken_for_a_gpu_that_computes(tmp_path: Path) -> None:
    card(tmp_path / "sys", 1, "0x1002", "amdgpu")
    card(tmp_path / "sys", 2, "0x8086", "i915")
    (finding,) = gpu(tmp_path / "dev", tmp_path / "sys", tmp_path / "proc")
    assert finding.found == "none; everything runs on the processor"


def test_torch_is_asked_which_device_it_would_take() -> None:
    seen = torch_sees()
    assert seen in ((None, "") if builds() == {} else (None, "", "cuda", "xpu", "mps"))
