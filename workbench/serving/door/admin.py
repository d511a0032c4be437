"""Who may steer deployments from a page: the same keys as at the server's door, role admin."""

from __future__ import annotations

import hmac
import time

from workbench.core.errors import StateError
from workbench.core.paths import Paths
from workbench.serving.door.audit import note
from workbench.serving.door.keys import Key, hash_key, read_keys

_NO = "This needs a valid key with the role admin."


def needs_key(paths: Paths) -> bool:
    """Whether there are keys on file, revoked ones included: then nobody does without."""
    return read_keys(paths.keys) is not None


def admitted(paths: Paths, secret: str, pipeline: str, deed: str) -> str:
    """Return the name of the key `secret` if it may do `deed` to `pipeline`; note it in the audit.

    StateError, in one sentence whatever is wrong with the key.
    """
    keys = read_keys(paths.keys)
    given = secret.strip().encode()
    found: Key | None = None
    if keys is not None:
        digest = hash_key(bytes.fromhex(keys.salt), given)
        for key in keys.keys:
            if hmac.compare_digest(digest, bytes.fromhex(key.hash)):
                found = key
    may = (
        found is not None
        and found.state(time.time()) == "active"
        and "admin" in found.roles
        and (not found.pipelines or pipeline in found.pipelines)
    )
    if found is None or not may:
        name = found.name if found else ""
        note(paths.audit, "refused", address="page", reason="no admin", key=name, count=1)
        raise StateError(_NO, fix="`workbench keys add NAME --role admin` makes one")
    note(paths.audit, "admin", key=found.name, address="page", method=deed, path=pipeline)
    return found.name
