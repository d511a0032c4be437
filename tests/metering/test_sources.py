from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.metering.probe import CpuActivity, MemoryActivity
from workbench.metering.sources import CpuModel, MemoryModel, load_share, tdp_joules

GB = 10**9


class Script:
    """A probe whose activity the test sets by hand."""

    def __init__(self, memory: MemoryActivity | None = None) -> None:
        self.cpu = CpuActivity(0, 0.0, 0.0, 0.0, 4)
        self.memory = memory or MemoryActivity(0, 0, 0)

    def observe_cpu(self) -> None: ...

    def observe_memory(self) -> None: ...

    def high_water_bytes(self) -> int | None:
        return None

    def holds(self, device: str) -> int | None:
        return 0


def after(seconds: float, used_s: float, busy_s: float, charged_s: float | None = None):
    return CpuActivity(
        int(seconds * 1e9), used_s, used_s if charged_s is None else charged_s, busy_s, 4
    )


def test_a_cpu_hour_costs_what_cloud_carbon_footprint_says_at_full_load():
    probe = Script()
    model = CpuModel(probe)
    probe.cpu = after(3600, used_s=3600, busy_s=3600)
    (reading,) = model.read()
    assert reading.joules == pytest.approx(3.5 * 3600)  # 0.74 idle + 2.76 dynamic, 1 vCPU, 1 h
    assert reading.provenance == "modelled"
    assert reading.covered_s == 3600


def test_the_interval_holds_the_tdp_curve_computed_by_hand():
    probe = Script()
    model = CpuModel(probe, tdp_watts_per_vcpu=4.0)
    # one of four vCPUs busy for 100 s: load 0.25, share of TDP 0.32 + 0.15/0.4 * 0.43 = 0.48125
    probe.cpu = after(100, used_s=100, busy_s=100)
    (reading,) = model.read()
    tdp = 4.0 * (0.12 * 100 + (0.48125 - 0.12) * 400)
    assert tdp == pytest.approx(626.0)
    assert reading.joules == pytest.approx(350.0)
    assert reading.hi == pytest.approx(626.0)  # the curve is the highest of the estimates
    assert reading.lo == pytest.approx(169.0)  # 1.69 W x 100 s, the thriftiest servers


def test_a_neighbour_changes_the_interval_but_not_the_value():
    alone, crowded = Script(), Script()
    models = CpuModel(alone), CpuModel(crowded)
    alone.cpu = after(10, used_s=10, busy_s=10)
    crowded.cpu = after(10, used_s=10, busy_s=40)
    (quiet,), (noisy,) = (model.read() for model in models)
    assert quiet.joules == noisy.joules
    assert quiet.hi > noisy.hi  # on a full machine the curve's dynamic part is shared by four


def test_an_idle_process_is_charged_nothing_and_an_idle_host_its_idle_power():
    tree, host = Script(), Script()
    models = CpuModel(tree), CpuModel(host)
    tree.cpu = after(100, used_s=0, busy_s=0)
    host.cpu = after(100, used_s=0, busy_s=0, charged_s=400)
    (process,), (machine,) = (model.read() for model in models)
    assert process.joules == 0
    assert machine.joules == pytest.approx(0.74 * 400)


@given(
    used=st.lists(st.floats(0, 25), min_size=1, max_size=4),
    seconds=st.floats(25, 100),
)
def test_workloads_and_uncharged_idle_add_up_to_the_host_in_both_models(used, seconds):
    vcpu_s, busy = seconds * 4, sum(used)
    line = sum(3.5 * u for u in used) + 0.74 * (vcpu_s - busy)
    assert line == pytest.approx(0.74 * vcpu_s + 2.76 * busy)
    curve = sum(tdp_joules(u, u, busy, vcpu_s) for u in used) + 0.12 * (vcpu_s - busy)
    assert curve == pytest.approx(tdp_joules(busy, vcpu_s, busy, vcpu_s))
    assert curve == pytest.approx(load_share(busy / vcpu_s) * vcpu_s)


@pytest.mark.parametrize(
    ("load", "share"),
    [(0, 0.12), (0.05, 0.22), (0.1, 0.32), (0.3, 0.535), (0.5, 0.75), (1, 1.02)],
)
def test_the_tdp_curve_goes_through_its_points_and_straight_between(load, share):
    assert load_share(load) == pytest.approx(share)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 10), st.floats(0, 1), st.floats(0, 1), st.integers(0, 10**12)),
        max_size=8,
    )
)
def test_readings_never_fall_and_stay_within_their_bounds(steps):
    probe = Script()
    sources = CpuModel(probe), MemoryModel(probe)
    before = [source.read()[0] for source in sources]
    t, used, busy = 0.0, 0.0, 0.0
    for duration, own, others, size in steps:
        t += duration
        used += own * duration * 4
        busy += others * duration * 4
        probe.cpu = after(t, used, busy)
        probe.memory = MemoryActivity(int(t * 1e9), size, size // 2)
        now = [source.read()[0] for source in sources]
        for old, new in zip(before, now, strict=True):
            assert new.lo <= new.joules <= new.hi
            assert new.joules >= old.joules
        before = now


def test_a_gigabyte_for_an_hour_costs_what_cloud_carbon_footprint_says():
    probe = Script(memory=MemoryActivity(0, GB, GB))
    model = MemoryModel(probe)
    probe.memory = MemoryActivity(3600 * 10**9, GB, GB)
    (reading,) = model.read()
    assert reading.joules / 3.6e6 == pytest.approx(0.000392)
    assert reading.lo / 3.6e6 == pytest.approx(0.000375)
    assert reading.hi / 3.6e6 == pytest.approx(0.000408)


def test_memory_that_forked_processes_may_share_widens_the_interval_downwards():
    probe = Script(memory=MemoryActivity(0, 4 * GB, GB))
    model = MemoryModel(probe)
    probe.memory = MemoryActivity(3600 * 10**9, 4 * GB, GB)
    (reading,) = model.read()
    assert reading.joules / 3.6e6 == pytest.approx(4 * 0.000392)
    assert reading.lo / 3.6e6 == pytest.approx(0.000375)


def test_growing_memory_is_charged_along_a_line_and_a_gap_is_not_called_seen():
    probe = Script(memory=MemoryActivity(0, 0, 0))
    model = MemoryModel(probe)
    probe.memory = MemoryActivity(10 * 10**9, 2 * GB, 2 * GB)
    (reading,) = model.read()
    assert reading.joules == pytest.approx(0.392 * 1 * 10)  # 1 GB on average, 10 s
    assert reading.covered_s == 0.5


def test_memory_that_the_platform_does_not_tell_is_not_measured_rather_than_zero():
    probe = Script(memory=MemoryActivity(0, None, None))
    model = MemoryModel(probe)
    probe.memory = MemoryActivity(10**9, None, None)
    (reading,) = model.read()
    assert reading.joules is None
    assert reading.provenance == "default"
