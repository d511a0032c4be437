"""The door: who asks, whether they may, and how much they have asked already.

Without keys on file a server on this machine answers its programs, and no page of a foreign site
(`local.py`). With keys, or at an address that others can reach, everything needs one but the signs
of life. There are no cookies, so a page of another site has nothing to abuse: its browser sends no
key by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from workbench.core.errors import StateError
from workbench.core.paths import Paths
from workbench.serving.door.audit import Audit
from workbench.serving.door.keys import LENGTH, START, Key, Keys, hash_key, read_keys
from workbench.serving.door.routes import Need
from workbench.serving.door.uses import Meter, Uses, meter_of
from workbench.serving.local import is_local_address, refusal
from workbench.serving.request import ANYBODY, LOCAL, Caller, Refused, Request

POLL_S = 0.5
NEEDS_KEY = (
    "This needs a valid key: send it as `Authorization: Bearer wb_...` or as `X-API-Key`. "
    "Whoever runs the server adds one with `workbench keys add`."
)
"""One sentence for all that is wrong with a key: what is known of it is not for who has not it."""

_ID = slice(len(START), len(START) + 8)
_CREDENTIALS = (b"authorization", b"x-api-key")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key, ready to be compared with.

    until_s: 0 for one that was revoked. caller: the same object for all its requests.
    """

    key: Key
    digest: bytes
    until_s: float
    caller: Caller
    meter: Meter


@dataclass(frozen=True)
class _Ring:
    """All keys of one reading of the file, by the id that stands in a key."""

    salt: bytes
    by_id: Mapping[bytes, _Entry]
    by_name: Mapping[str, _Entry]


class Door:
    """Lets requests of one server process in, or not."""

    def __init__(self, paths: Paths) -> None:
        """StateError when the keys on file cannot be read: to guess would let somebody in."""
        self.paths = paths
        self.audit = Audit(paths.audit)
        self._trouble = self._failure = ""
        self._uses: Uses | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stamp = _stamp_of(paths.keys)
        self._ring: _Ring | None = None
        self._know(read_keys(paths.keys))

    def admit(self, request: Request, need: Need) -> Caller:
        """Return who asks; Refused (401, 403, 429) for who may not, or not now."""
        ring = self._ring
        if ring is None:
            return self._admit_local(request, need)
        given = _given(request)
        if given is None:
            if need.role is not None:
                self._refuse(request, "no key")
            if b"origin" in request.headers:
                raise Refused(403, "Pages of other sites get no answer without a key.")
            return ANYBODY
        entry = ring.by_id.get(given[_ID]) if len(given) == LENGTH else None
        # Also where there is nothing to compare with: time must not tell which ids there are.
        digest = entry.digest if entry is not None else bytes(32)
        is_right = hmac.compare_digest(hash_key(ring.salt, given[:LENGTH]), digest)
        if entry is None:
            self._refuse(request, "unknown key")
        if not is_right:
            self._refuse(request, "wrong key", entry.key.name)
        now_s = time.time()
        if now_s >= entry.until_s:
            self._refuse(request, f"{entry.key.state(now_s)} key", entry.key.name)
        self._check_rights(request, need, entry.caller)
        if self._uses is not None and (over := self._uses.take(entry.meter, now_s)):
            wait = b"%d" % max(1, math.ceil(over.wait_s))
            raise Refused(
                429, f"Key '{entry.key.name}' has used its {over.limit}.", ((b"retry-after", wait),)
            )
        if need.role == "admin":
            self._note_admin(request, entry.caller)
        return entry.caller

    def charge(self, caller: Caller, usd: float) -> None:
        """Count what an answer cost, in US dollars, against its caller's budget."""
        entry = self._ring.by_name.get(caller.name) if self._ring else None
        if entry is not None and self._uses is not None:
            self._uses.charge(entry.meter, usd)

    def open(self) -> None:
        """Begin to follow the file of keys, and to keep what is counted."""
        self._watch = asyncio.create_task(self._watch_on())

    async def close(self) -> None:
        """End that, and write what was counted."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        self.audit.turn(closing=True)
        if self._uses is not None:
            self._uses.close()
            self._uses = None

    async def _watch_on(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                self.look()
                self.audit.turn()
                if self._uses is not None:
                    self._uses.add()
                    await asyncio.to_thread(self._uses.sync)
                self._failure = ""
            except Exception as error:  # whatever it is, the watch goes on
                failure = f"{self.paths.keys.name} cannot be watched: {error}"
                if failure != self._failure:
                    _logger.exception("%s", failure)
                self._failure = failure

    def look(self) -> None:
        """Take over the file of keys if it changed; a damaged or missing one is only said."""
        stamp = _stamp_of(self.paths.keys)
        if stamp == self._stamp:
            return
        trouble = ""
        try:
            keys = read_keys(self.paths.keys)
            if keys is not None:
                self._know(keys)
            elif self._ring is not None:
                trouble = f"{self.paths.keys.name} is gone"
        except StateError as error:
            trouble = error.problem.rstrip(".")
        self._stamp = stamp
        self._trouble = f"{trouble}; the keys read before hold." if trouble else ""
        if trouble:
            _logger.warning("%s", self._trouble)

    @property
    def trouble(self) -> str:
        """What is wrong with the keys on file, or with what is noted and counted; "" if nothing."""
        return self._trouble or self._failure or self.audit.trouble

    def _know(self, keys: Keys | None) -> None:
        if keys is None:
            return
        if self._uses is None:
            self._uses = Uses(self.paths.key_uses, len(keys.keys))
        self._uses.grow(len(keys.keys))
        entries = [_entry(key, place) for place, key in enumerate(keys.keys)]
        self._ring = _Ring(
            bytes.fromhex(keys.salt),
            {entry.key.id.encode(): entry for entry in entries},
            {entry.key.name: entry for entry in entries if entry.key.revoked_s is None},
        )

    def _admit_local(self, request: Request, need: Need) -> Caller:
        """Programs of this machine, while nobody has a key."""
        server = request.scope.get("server")
        if server is not None and not is_local_address(server[0]):
            if need.role is None:
                return ANYBODY
            self._refuse(request, "no key")
        if reason := refusal(request.scope["headers"]):
            raise Refused(403, reason)
        if need.role == "admin":
            self._note_admin(request, LOCAL)
        return LOCAL

    def _check_rights(self, request: Request, need: Need, caller: Caller) -> None:
        if need.pipeline is not None and not caller.may_ask(need.pipeline):
            self.audit.refused(_address(request), "another pipeline", caller.name)
            caller.need(need.pipeline)
        if need.role is not None and need.role not in caller.roles and not caller.is_admin:
            self.audit.refused(_address(request), f"not {need.role}", caller.name)
            raise Refused(
                403,
                f"Key '{caller.name}' has not the role '{need.role}', only "
                f"{', '.join(sorted(caller.roles))}.",
            )

    def _refuse(self, request: Request, reason: str, key: str = "") -> NoReturn:
        self.audit.refused(_address(request), reason, key)
        raise Refused(401, NEEDS_KEY, ((b"www-authenticate", b"Bearer"),))

    def _note_admin(self, request: Request, caller: Caller) -> None:
        self.audit.admin(caller.name, _address(request), request.method, request.path)


def _given(request: Request) -> bytes | None:
    """The key that came with a request, b"" for what can be none; None where nothing came.

    Two of them are none: who stands between may have looked at the other one.
    """
    headers = request.headers
    bearer, plain = headers.get(b"authorization"), headers.get(b"x-api-key")
    if bearer is None and plain is None:
        return None
    listed = request.scope["headers"]
    if bearer is not None and plain is not None:
        return b""
    if len(listed) != len(headers) and sum(name in _CREDENTIALS for name, _ in listed) > 1:
        return b""
    if plain is not None:
        return plain
    assert bearer is not None
    return bearer[7:].strip(b" ") if bearer[:7].lower() == b"bearer " else b""


def _entry(key: Key, place: int) -> _Entry:
    caller = Caller(
        name=key.name,
        is_admin="admin" in key.roles,
        roles=frozenset(key.roles),
        pipelines=frozenset(key.pipelines),
    )
    until_s = math.inf if key.expires_s is None else key.expires_s
    if key.revoked_s is not None:
        until_s = 0.0
    return _Entry(key, bytes.fromhex(key.hash), until_s, caller, meter_of(key, place))


def _address(request: Request) -> str:
    client = request.scope.get("client")
    return client[0] if client else ""


def _stamp_of(path: Path) -> tuple[int, ...]:
    """Tell one file of keys from the next without reading it."""
    try:
        found = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return found.st_mtime_ns, found.st_ino, found.st_size
