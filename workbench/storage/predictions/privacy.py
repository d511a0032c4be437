"""What of an answer is kept: all of it, all but private values, or only that it was given."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.core.secrets import private, private_folder
from workbench.storage.predictions.passport import Passport

if TYPE_CHECKING:
    from workbench.core.deploy import Log

KEY = ".key"
_SIZE = 32
_logger = logging.getLogger(__name__)


class Privacy:
    """Keeps of each passport what the settings of its pipeline allow.

    A private value is replaced by a hash under a key of this checkout (BLAKE2b, keyed): equal
    values have equal hashes, and without the key nobody can try values until one fits. The key is
    hidden from backups, so that a copy of the log does not carry what opens it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = b""

    def kept(self, passport: Passport, settings: Log) -> Passport:
        """The passport as it may be stored."""
        if not is_sampled(passport.id, settings.fraction):
            return msgspec.structs.replace(passport, inputs={}, outputs={}, logged="sampled out")
        names = tuple(name for name in settings.private if name in passport.inputs)
        if not names:
            return passport
        self._key = self._key or _key(self._folder)
        inputs = passport.inputs | {name: self._hashes(passport.inputs[name]) for name in names}
        warnings = tuple(_without(names, warning) for warning in passport.warnings)
        return msgspec.structs.replace(passport, inputs=inputs, warnings=warnings, private=names)

    def _hashes(self, values: Any) -> list[str]:
        listed = values.tolist() if hasattr(values, "tolist") else values
        return [hash_of(self._key, value) for value in listed]


def is_sampled(id: str, fraction: float) -> bool:
    """Whether the answer of that id is logged in full: the same whoever asks, and whenever."""
    if fraction >= 1:
        return True
    drawn = int.from_bytes(hashlib.blake2b(id.encode(), digest_size=4).digest(), "big")
    return drawn < fraction * 2**32


def hash_of(key: bytes, value: Any) -> str:
    """The hash that stands for a value. 1 and 1.0 are one value: clients write both."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = msgspec.json.encode(value)
    return f"private:{hashlib.blake2b(text, key=key, digest_size=16).hexdigest()}"


def _without(names: tuple[str, ...], warning: str) -> str:
    """A warning without the value that it complains of, where that is private."""
    for name in names:
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", warning):
            return f"'{name}' is beyond what training saw"
    return warning


def _key(folder: Path) -> bytes:
    """The key of this checkout, made at first use; a passing one where it can't be kept."""
    try:
        private_folder(folder)
        return _read(folder / KEY) or _made(folder)
    except OSError as error:
        _logger.warning("private values cannot be matched with earlier ones: %s", error)
        return secrets.token_bytes(_SIZE)


def _made(folder: Path) -> bytes:
    """Write a new key aside and link it: of several processes one is first, all read its key."""
    aside = folder / f"{KEY}.{os.getpid()}.part"
    aside.unlink(missing_ok=True)
    try:
        with open(aside, "xb", opener=private) as file:
            file.write(secrets.token_bytes(_SIZE))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, folder / KEY)
    finally:
        aside.unlink(missing_ok=True)
    return (folder / KEY).read_bytes()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
