"""API keys: who may ask a server for what; on file are only their hashes.

A key is 256 random bits, so a fast hash keeps it as secret as a slow one would: nobody guesses it,
whatever a guess costs. A revoked key stays in the file. So its place, which is that of what it has
used (see `uses.py`), is never another key's, and a server whose last key was revoked lets nobody
in rather than everybody.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from workbench.core.errors import DataError, StateError, did_you_mean
from workbench.core.files import json_bytes, read_json
from workbench.core.paths import Paths
from workbench.core.records import VERSION
from workbench.core.secrets import private, private_folder
from workbench.execution.lock import hold
from workbench.serving.door.audit import note

Role = Literal["ask", "feedback", "watch", "admin"]
"""ask: predictions and what is known of models. feedback: true outcomes. watch: metrics. admin:
all of that, and what changes the server."""
ROLES: tuple[Role, ...] = get_args(Role)

START, ID_LENGTH = "wb_", 8
LENGTH = len(START) + ID_LENGTH + 1 + 64
"""Of a whole key: `wb_<id>_<secret>`, id and secret in hex."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_RESERVED = ("local", "anybody")
_Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


@dataclass(frozen=True)
class Allowance:
    """What a key may use; None: as much as it likes.

    rate_per_minute: requests, also the most at once. Months are those of UTC.
    """

    rate_per_minute: int | None = None
    requests_per_month: int | None = None
    usd_per_month: float | None = None

    def __post_init__(self) -> None:
        for name in ("rate_per_minute", "requests_per_month", "usd_per_month"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e15:
                raise ValueError(f"{name} is {value}, expected a number above 0")


@dataclass(frozen=True)
class Key:
    """One key as it is on file. hash: SHA-256 of the salt and the whole key, hex.

    pipelines: that it may ask; all when there are none. Times are seconds since 1970-01-01 UTC.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}\Z")]
    name: str
    hash: _Hex
    created_s: float
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)]
    pipelines: tuple[str, ...] = ()
    allowance: Allowance = Allowance()
    expires_s: float | None = None
    revoked_s: float | None = None

    def state(self, now_s: float) -> Literal["active", "expired", "revoked"]:
        """Whether it opens anything."""
        if self.revoked_s is not None:
            return "revoked"
        return "expired" if self.expires_s is not None and now_s >= self.expires_s else "active"


@dataclass(frozen=True)
class Keys:
    """All keys of a checkout, oldest first, and the salt of their hashes (hex)."""

    salt: _Hex
    keys: tuple[Key, ...] = ()
    version: int = VERSION

    def current(self, name: str) -> Key | None:
        """The key of that name which is not revoked."""
        return next((k for k in self.keys if k.name == name and k.revoked_s is None), None)


def role_of(word: str) -> Role:
    """The role of that name; DataError when there is none."""
    for role in ROLES:
        if role == word:
            return role
    raise DataError(f"'{word[:80]}' is no role.{did_you_mean(word, ROLES)}")


def hash_key(salt: bytes, key: bytes) -> bytes:
    """The hash of a whole key, as it is on file."""
    return hashlib.sha256(salt + key).digest()


def read_keys(path: Path) -> Keys | None:
    """Read the keys; None without the file. StateError when it is damaged or cannot be read."""
    try:
        keys = read_json(path, Keys)
        if len({key.id for key in keys.keys}) < len(keys.keys):
            raise ValueError("two keys have one id")
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, ValueError, RecursionError, OSError) as error:
        raise StateError(
            f"{path.name}, which holds the keys of the server, cannot be read: {error}.",
            fix=f"bring it back from a backup; or remove {path} and add new keys",
        ) from None
    if keys.version > VERSION:
        raise StateError(
            f"{path.name} has version {keys.version}; this workbench reads {VERSION}.",
            fix="update the workbench",
        )
    return keys


def has_usable_key(paths: Paths) -> bool:
    """Whether anybody could open the door of a server."""
    keys = read_keys(paths.keys)
    return keys is not None and any(key.state(time.time()) == "active" for key in keys.keys)


def add_key(
    paths: Paths,
    name: str,
    *,
    roles: Sequence[Role] = ("ask",),
    pipelines: Sequence[str] = (),
    allowance: Allowance = Allowance(),
    expires_s: float | None = None,
) -> tuple[Key, str]:
    """Put a new key on file; return it and the key itself, which is nowhere else.

    DataError for a name that is taken or none, or an end that has passed.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise DataError(
            f"'{name[:80]}' cannot name a key.",
            fix="use letters, digits and . _ @ - (64 at most), and neither of "
            + " and ".join(_RESERVED),
        )
    now_s = time.time()
    if expires_s is not None and expires_s <= now_s:
        raise DataError(f"Key '{name}' would have expired already.", fix="choose a later day")
    with _held(paths):
        keys = read_keys(paths.keys) or Keys(salt=secrets.token_hex(32))
        if keys.current(name):
            raise DataError(
                f"There is a key '{name}' already.",
                kept="that key, as it was",
                fix=f"choose another name, or `workbench keys revoke {name}` first",
            )
        id = secrets.token_hex(ID_LENGTH // 2)
        while any(key.id == id for key in keys.keys):
            id = secrets.token_hex(ID_LENGTH // 2)
        secret = f"{START}{id}_{secrets.token_hex(32)}"
        made = Key(
            id=id,
            name=name,
            hash=hash_key(bytes.fromhex(keys.salt), secret.encode()).hex(),
            created_s=now_s,
            roles=tuple(dict.fromkeys(roles)),
            pipelines=tuple(dict.fromkeys(pipelines)),
            allowance=allowance,
            expires_s=expires_s,
        )
        _write(paths.keys, replace(keys, keys=(*keys.keys, made)))
        note(paths.audit, "key added", key=name, id=id, by=_who(), roles=made.roles)
    return made, secret


def revoke_key(paths: Paths, name: str) -> Key:
    """Let a key open nothing from now on; return it as it was. DataError without such a key."""
    with _held(paths):
        keys = read_keys(paths.keys)
        found = keys.current(name) if keys else None
        if keys is None or found is None:
            names = [key.name for key in keys.keys if key.revoked_s is None] if keys else []
            raise DataError(
                f"There is no key '{name[:80]}'.{did_you_mean(name, names)}",
                fix="`workbench keys list` shows all",
            )
        revoked = replace(found, revoked_s=time.time())
        left = tuple(revoked if key is found else key for key in keys.keys)
        _write(paths.keys, replace(keys, keys=left))
        note(paths.audit, "key revoked", key=name, id=found.id, by=_who())
    return found


def _held(paths: Paths) -> contextlib.AbstractContextManager[None]:
    """Two commands at once must not undo each other."""
    return hold(paths.lock("keys"), "list of keys", wait_s=10)


def _write(path: Path, keys: Keys) -> None:
    """Whole or not at all, and from its first byte for its owner alone."""
    private_folder(path.parent)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    aside.unlink(missing_ok=True)
    try:
        with open(aside, "xb", opener=private) as file:
            file.write(json_bytes(keys))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _who() -> str:
    """Of this machine's users; by number, which needs no list of names."""
    return f"user {os.getuid()}"
