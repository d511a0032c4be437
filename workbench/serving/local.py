"""Who may ask a server without keys: programs of this machine, and no page of a foreign site.

A browser on this machine reaches loopback too, for every page that it shows. A page's own address
says whose it is (`Origin`), and a name that was pointed here to deceive the browser (DNS rebinding)
still stands in `Host`.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable

_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:]+)\]|(?P<name>[a-z0-9.-]+))(?::[0-9]{1,5})?")


def refusal(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return why a request with these headers gets no answer; None when it gets one.

    headers: names in lower case. A request without `Host` (HTTP/1.0) comes from no browser.
    """
    host = origin = None
    for name, value in headers:
        if name == b"host":
            if not is_local(value):
                return "This server answers only for localhost and addresses of this machine."
            host = value
        elif name == b"origin":
            origin = value
    if origin is not None and (
        host is None
        or origin.lower() not in (b"http://" + host.lower(), b"https://" + host.lower())
    ):
        return "Pages of other sites get no answer from this server."
    return None


@functools.lru_cache(256)
def is_local_address(address: str) -> bool:
    """Whether what came to this address came from this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@functools.lru_cache(256)
def is_local(host: bytes) -> bool:
    """Whether a `Host` names this machine, whatever its port: there may be a tunnel between."""
    found = _HOST.fullmatch(host.decode("latin-1").lower())
    if found is None:
        return False
    name = found["six"] or found["name"]
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
