"""The real `pynvml` against a stand-in driver built from C: replay, not hardware."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.needs import not_run
from workbench.metering.nvml import NoCounter

ROOT = Path(__file__).parents[2]

HEAD = """
import json, os, sys
import pynvml
from workbench.metering.nvml import NvmlCounter

class Holders:
    cpu = memory = None
    count = 1
    def holds(self, device): return self.count if device == "/dev/nvidia0" else 0

def read(probe_source, mj):
    os.environ["FAKE_MJ_0"] = str(mj)
    return [vars(r) for r in probe_source.read()]

os.environ |= {"FAKE_MJ_0": "5000000", "FAKE_MJ_1": "7"}
pynvml.nvmlInit()
probe = Holders()
source = NvmlCounter(probe, pynvml)
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or not_run("a C compiler")
    folder = tmp_path_factory.mktemp("driver")
    library = folder / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("fake_nvml.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return folder


def replay(driver: Path, code: str):
    if importlib.util.find_spec("pynvml") is None:
        not_run("the extra gpu")
    done = subprocess.run(
        [sys.executable, "-c", HEAD + textwrap.dedent(code)],
        cwd=ROOT,
        env={**os.environ, "LD_LIBRARY_PATH": str(driver)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_energy_is_the_difference_of_the_counter_within_the_sensor_s_error(driver: Path):
    first, last = replay(
        driver, "print(json.dumps([read(source, 5_000_000), read(source, 5_360_000)]))"
    )
    assert [r["joules"] for r in first] == [0.0]
    (reading,) = last  # the second GPU is not held open, so it is not charged
    assert reading["domain"] == "gpu0"
    assert reading["joules"] == pytest.approx(360.0)
    assert (reading["lo"], reading["hi"]) == pytest.approx((342.0, 378.0))
    assert reading["provenance"] == "counter"


def test_a_gpu_is_charged_only_while_it_is_held_open(driver: Path):
    before, during, after = replay(
        driver,
        """
        probe.count = 0
        before = read(source, 5_100_000)
        probe.count = 1
        during = read(source, 5_150_000)
        probe.count = 0
        print(json.dumps([before, during, read(source, 5_900_000)]))
        """,
    )
    assert before == []
    assert during[0]["joules"] == pytest.approx(50.0)
    assert after[0]["joules"] == pytest.approx(50.0)


def test_a_counter_that_starts_again_gives_no_negative_energy(driver: Path):
    reset, later = replay(driver, "print(json.dumps([read(source, 1_000), read(source, 11_000)]))")
    assert reset[0]["joules"] == 0
    assert reset[0]["covered_s"] == 0  # that slice was not seen
    assert later[0]["joules"] == pytest.approx(10.0)


def test_a_gpu_shared_with_others_is_modelled_and_may_have_used_nothing(driver: Path):
    (shared,) = replay(
        driver,
        'os.environ["FAKE_PROCESSES"] = "2"\nprint(json.dumps(read(source, 5_100_000)))',
    )
    assert shared["provenance"] == "modelled"
    assert shared["lo"] == 0
    assert shared["joules"] == pytest.approx(100.0)


def test_a_gpu_without_a_counter_is_refused_by_the_counter_source(driver: Path):
    assert (
        replay(
            driver,
            """
        del os.environ["FAKE_MJ_1"]
        try:
            NvmlCounter(probe, pynvml)
        except pynvml.NVMLError_NotSupported:
            print(json.dumps("not supported"))
        """,
        )
        == "not supported"
    )


def test_gpus_that_cannot_be_read_are_not_measured_while_in_use_and_absent_otherwise():
    class Holding:
        count: int | None = 1

        def holds(self, device: str) -> int | None:
            return self.count

    probe = Holding()
    source = NoCounter(probe, ["/dev/nvidia0"])  # pyright: ignore[reportArgumentType]
    (reading,) = source.read()
    assert (reading.domain, reading.joules, reading.provenance) == ("gpu0", None, "default")
    probe.count = 0
    assert source.read() == []
    probe.count = None  # the scope is the machine
    assert len(source.read()) == 1
