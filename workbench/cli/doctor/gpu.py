"""GPUs: what is built in, whether its driver is there, and whether torch can use it.

Looked up in device files, so that nothing heavy is imported where there is no GPU.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.cli.doctor.finding import Finding, few
from workbench.cli.doctor.limits import PROC
from workbench.cli.doctor.software import here, pinned

DEV, SYS = Path("/dev"), Path("/sys")
MAKERS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
TORCH_S = 10.0
"""Importing torch on a machine with a GPU, with the start of its driver."""

_MATTERS = "large models train faster on it; tables and small models do well without"
_ASK = "import torch; a = torch.accelerator.current_accelerator(); print(a.type if a else '')"


@dataclass(frozen=True)
class Gpus:
    """GPUs of one maker. build: what torch calls its build for them. fix: what opens them."""

    maker: str
    names: tuple[str, ...]
    build: str
    is_open: bool
    fix: str = ""


def gpu(dev: Path = DEV, sys_: Path = SYS, proc: Path = PROC) -> Iterator[Finding]:
    """Every GPU that is found; a note where there is none that computes."""
    found = [*_nvidia(dev, sys_, proc), *_amd(dev, sys_), *_intel(dev, sys_), *_apple()]
    if not found:
        yield Finding("GPU", "good", "none; everything runs on the processor", "", _MATTERS)
    for gpus in found:
        said = f"{gpus.maker}: {few(gpus.names)}"
        if not gpus.is_open:
            yield Finding("GPU", "note", f"{said}, but it cannot be used", gpus.fix, _MATTERS)
            continue
        yield _by_torch(said, gpus)


def _nvidia(dev: Path, sys_: Path, proc: Path) -> Iterator[Gpus]:
    devices = sorted(dev.glob("nvidia[0-9]*"))
    wsl = (dev / "dxg").exists()
    cards = [card for card in _cards(sys_) if card[0] == "NVIDIA"]
    if not (devices or wsl or cards):
        return
    names = []
    for file in sorted((proc / "driver" / "nvidia" / "gpus").glob("*/information")):
        if model := re.search(r"^Model:\s*(.+)$", file.read_text(errors="replace"), re.M):
            names.append(model[1].strip())
    names = names or [f"{len(devices or cards) or 1} found"]
    fix = "sudo apt install nvidia-driver   # Debian; elsewhere as the system's manual says"
    if shutil.which("ubuntu-drivers"):
        fix = "sudo ubuntu-drivers install"
    yield Gpus("NVIDIA", tuple(names), "cuda", bool(devices) or wsl, fix)


def _amd(dev: Path, sys_: Path) -> Iterator[Gpus]:
    cards = [card for card in _cards(sys_) if card[0] == "AMD" and card[1]]
    kfd = dev / "kfd"
    # Every desktop with an AMD processor has a card that only draws: no driver, no computing.
    if kfd.exists():
        there = (f"{len(cards) or 1} found",)
        may = os.access(kfd, os.R_OK | os.W_OK)
        yield Gpus(
            "AMD", there, "hip", may, "sudo usermod -aG render,video $USER, then log in anew"
        )


def _intel(dev: Path, sys_: Path) -> Iterator[Gpus]:
    cards = [card for card in _cards(sys_) if card == ("Intel", "xe")]
    renders = sorted((dev / "dri").glob("renderD*"))
    if cards and renders:
        may = any(os.access(path, os.R_OK | os.W_OK) for path in renders)
        fix = "sudo usermod -aG render $USER, then log in anew"
        yield Gpus("Intel", (f"{len(cards)} found",), "xpu", may, fix)


def _apple() -> Iterator[Gpus]:
    if sys.platform == "darwin" and platform.machine() == "arm64":
        yield Gpus("Apple", ("the GPU of this chip (Metal)",), "mps", is_open=True)


def _cards(sys_: Path) -> list[tuple[str, str]]:
    """Maker and driver of each display controller on the bus; driver "" where none took it."""
    found = []
    for device in sorted((sys_ / "bus" / "pci" / "devices").glob("*")):
        if not _line(device / "class").startswith("0x03"):
            continue
        maker = MAKERS.get(_line(device / "vendor"))
        driver = device / "driver"
        if maker:
            found.append((maker, driver.resolve().name if driver.exists() else ""))
    return found


def _line(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def builds() -> dict[str, str] | None:
    """What the installed torch was built for, read from its own file; None without torch."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.origin:
        return None
    text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    found = re.findall(r"^(cuda|hip|xpu)\b[^=\n]*= '([^']+)'", text, re.M)
    return dict(found) | ({"mps": "Metal"} if sys.platform == "darwin" else {})


def _by_torch(said: str, gpus: Gpus) -> Finding:
    """Whether torch can use GPUs that the system has opened."""
    built = builds()
    if built is None:
        return Finding("GPU", "note", f"{said}; torch is not installed", here("make .venv/run"))
    if gpus.build not in built:
        version = pinned(Path("requirements.txt")).get("torch", "")
        wanted = f"torch=={version}" if version else "torch"
        fix = f"{here('python')} -m pip install --force-reinstall --no-deps {wanted}"
        if gpus.build != "cuda":
            fix = "choose the build at https://pytorch.org/get-started/locally"
        return Finding("GPU", "note", f"{said}, but this torch is built without it", fix, _MATTERS)
    seen = torch_sees()
    if seen == "":
        text = f"{said}, but torch cannot start it"
        fix = "nvidia-smi" if gpus.build == "cuda" else f"{here('python')} -c '{_ASK}'"
        return Finding("GPU", "note", text, fix, _MATTERS)
    slow = "" if seen else f" (torch did not say within {TORCH_S:.0f} s that it can use it)"
    device = f", used with `device: auto` as {seen}" if seen else slow
    return Finding("GPU", "good", f"{said}{device}", "", _MATTERS)


def torch_sees() -> str | None:
    """Device that torch would take ("" for none but the processor); None: no answer in time."""
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _ASK], capture_output=True, text=True, timeout=TORCH_S
        )
    except subprocess.TimeoutExpired:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else ""
