"""What others must not read: passwords in what is shown, files of this checkout's own state."""

from __future__ import annotations

import os
import re
from pathlib import Path

# To the last `@`, because people write passwords with `@`, `/` and `#` as they are. `///` begins
# the path of a file, which holds no password but may hold an `@`.
_LOGIN = re.compile(r"(?<!/)//(?!/)[^\s'\"]*@")
_NAMED = re.compile(
    r"(?i)((?:password|passwd|pwd|secret|token|access_key|api_?key)\s*=\s*)('[^']*'|[^\s&;]+)"
)


def masked(text: str, url: str = "") -> str:
    """Return `text` without logins in addresses and without values of `password=` and the like.

    url: the address that `text` complains about. A driver that takes the end of an unescaped
    password for the host's name repeats that end before the host; it is masked too.
    """
    text = _NAMED.sub(r"\1***", _LOGIN.sub("//***@", text))
    host = re.match(r"[\w.-]+", url.rpartition("@")[2]) if "@" in url else None
    return re.sub(rf"[^\s'\"/]+@{re.escape(host[0])}", f"***@{host[0]}", text) if host else text


def private(path: str, flags: int) -> int:
    """Open a file that is new for its owner alone; `opener` of `open`."""
    return os.open(path, flags, 0o600)


def private_folder(path: Path) -> None:
    """Make a folder, and what is missing above it, for its owner alone.

    `.workbench` holds passports, tokens and databases, and is made by whatever comes first. A
    folder that is there keeps the rights that it was given, to share it with a team for example.
    """
    for folder in reversed([f for f in (path, *path.parents) if not f.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
