"""Git: there, knowing who you are, and holding what was changed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator

from workbench.cli.doctor.finding import Finding
from workbench.core.paths import Paths

GIT_S = 2.0
_MATTERS = "a run remembers its commit, so that every number leads back to its code"


def git(paths: Paths) -> Iterator[Finding]:
    """The program, the repository, the name under which you commit, and what is not committed."""
    if not shutil.which("git"):
        fix = "sudo apt install git   # Debian, Ubuntu; macOS: xcode-select --install"
        yield Finding("Git", "bad", "not installed", fix, f"DVC needs it; {_MATTERS}")
        return
    status = _git(paths, "status", "--porcelain=v2", "--branch")
    if status.returncode:
        yield _no_repository(paths, status.stderr)
        return
    # Without the option Git makes up an address from the machine's name, and then refuses it.
    who = _git(paths, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT")
    if who.returncode:
        fix = 'git config --global user.name "YOUR NAME"'
        fix += " && git config --global user.email YOU@EXAMPLE.ORG"
        yield Finding("Git identity", "note", "Git does not know who you are", fix, "to commit")
    lines = status.stdout.splitlines()
    if "# branch.oid (initial)" in lines:
        yield Finding("Git", "note", "no commit yet", "git add . && git commit -m Begin", _MATTERS)
        return
    changed = [line for line in lines if not line.startswith("#")]
    new = [line for line in changed if line.startswith("?")]
    if changed:
        said = f"{len(changed)} file{'s' if len(changed) > 1 else ''} not committed"
        add = "git add . && git commit" if new else "git commit -a"
        fix = f"{add} -m 'SAY WHAT CHANGED'"
        yield Finding(
            "Git",
            "note",
            said,
            fix,
            f"{_MATTERS}; a change that is not committed is kept with the run as a patch",
        )
    else:
        yield Finding("Git", "good", "everything is committed", "", _MATTERS)


def _no_repository(paths: Paths, error: str) -> Finding:
    if "dubious ownership" in error:
        fix = f"git config --global --add safe.directory {shlex.quote(str(paths.root))}"
        return Finding("Git", "bad", "this folder belongs to another account", fix, _MATTERS)
    if "not a git repository" in error:
        return Finding("Git", "bad", "this folder is no repository", "git init", "DVC needs one")
    said = error.strip().splitlines()[0] if error.strip() else "it does not answer"
    return Finding("Git", "bad", said, "git status", _MATTERS)


def _git(paths: Paths, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Optional locks off: looking must not disturb what the person does at the same time.
    return subprocess.run(
        ["git", "-C", str(paths.root), *arguments],
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=GIT_S,
    )
