"""A program in a terminal of its own, as a person sees it: with its width, colours and bars."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from tests.checkout import environment


def in_terminal(*command: str, cwd: Path, columns: int = 100) -> str:
    """Run a program to its end in a terminal; returns all that it wrote there."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environ = environment() | {"TERM": "xterm"}
    del environ["COLUMNS"]
    process = subprocess.Popen(
        command, cwd=cwd, env=environ, stdin=its, stdout=its, stderr=its, start_new_session=True
    )
    os.close(its)
    parts: list[bytes] = []
    try:
        while part := _read(ours):
            parts.append(part)
    finally:
        process.kill()  # only where reading failed: else it has ended
        process.wait()
        os.close(ours)
    return b"".join(parts).decode()


def _read(terminal: int) -> bytes:
    """What comes next; nothing when no process has the terminal open any more."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


def plain(text: str) -> list[str]:
    """The lines of a terminal's text without colours."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text).replace("\r\n", "\n").splitlines()


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)
