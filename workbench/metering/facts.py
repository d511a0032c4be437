"""What a run should remember of its surroundings: commit, hardware, user."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from workbench.core.records import Commit

PATCH_LIMIT_BYTES = 1_000_000


def commit(root: Path) -> Commit:
    """Return the state of Git at `root`; sha None outside Git and before the first commit.

    `dirty` and `patch` speak of tracked files: an untracked file is never copied into a record.
    """
    status = _git(root, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        return Commit(sha=None, branch=None, dirty=False)
    lines = status.decode(errors="replace").splitlines()
    head = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    sha = head.get("branch.oid")
    branch = head.get("branch.head")
    dirty = any(not line.startswith("#") for line in lines)
    known = sha if sha and not sha.startswith("(") else None
    patch = _git(root, "diff", "--no-ext-diff", "--no-color", "HEAD") if dirty and known else None
    return Commit(
        sha=known,
        branch=branch if branch and not branch.startswith("(") else None,
        dirty=dirty,
        patch=_capped(patch or b""),
    )


def _capped(patch: bytes) -> str:
    if len(patch) <= PATCH_LIMIT_BYTES:
        return patch.decode(errors="replace")
    return patch[:PATCH_LIMIT_BYTES].decode(errors="replace") + "\n(cut at 1 MB)\n"


def _git(root: Path, *args: str) -> bytes | None:
    """Output of git up to a little over the patch limit, None if it cannot answer."""
    if shutil.which("git") is None:
        return None
    # optional locks off: a run must not disturb what the person does in the same checkout
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    with subprocess.Popen(
        ["git", "-C", str(root), *args],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read(PATCH_LIMIT_BYTES + 1)
        cut = len(output) > PATCH_LIMIT_BYTES
        if cut:
            process.kill()
    return output if cut or process.returncode == 0 else None


@functools.cache
def hardware() -> dict[str, Any]:
    """Return CPU, cores, memory, system and GPUs of this machine; what is not known is left out."""
    facts: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    if hasattr(os, "sched_getaffinity"):
        facts["usable_cores"] = len(os.sched_getaffinity(0))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        facts["memory_bytes"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    gpus = _gpus()
    if gpus:
        facts["gpus"] = gpus
    return {name: value for name, value in facts.items() if value}


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(errors="replace"), re.M)
        if found:
            return found[1].strip()
    return platform.processor()


def _gpus() -> list[str]:
    """Names of NVIDIA GPUs, asked only where their tool is installed."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.split("\n")[:-1] if answer.returncode == 0 else []


def user() -> str:
    """Return who runs this, empty where the system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
