"""What every reply tells a browser: guess nothing, keep nothing, run nothing."""

from __future__ import annotations

SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)
"""For every reply, pages included."""

DATA: tuple[tuple[bytes, bytes], ...] = (
    *SECURITY,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""For a reply that is no page: where it is shown as one, nothing in it does anything."""
