"""A page to try a pipeline in: its inputs as a form, its answer as a person reads it.

The page is the same for all pipelines and holds nothing of them, so it needs no key: it asks for
the signature with the key that its reader types. Names and words of a signature become text, never
markup, and its policy lets no other script run than its own.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path

from workbench.serving.columns import expected
from workbench.serving.request import Headers, Reply, Request, found
from workbench.serving.service import Service

MEDIA = b"text/html; charset=utf-8"
_PAGE = Path(__file__).with_name("form.html")


def page(request: Request) -> Reply:
    """The page itself."""
    request.need("GET")
    content, headers = _page()
    return Reply(content, headers=headers, media=MEDIA)


def signature(service: Service, request: Request, name: str) -> Reply:
    """What the page must know of a pipeline."""
    request.need("GET")
    model = service.model(name)
    return found(
        {
            "signature": model.bundle.signature,
            "release": model.target.release,
            "expected": {name: expected(column) for name, column in model.bundle.inputs.items()},
        }
    )


@functools.cache
def _page() -> tuple[bytes, Headers]:
    """The file, and the policy that allows exactly its own style and script."""
    content = _PAGE.read_bytes()
    policy = (
        f"default-src 'none'; style-src {_hash(content, 'style')}; "
        f"script-src {_hash(content, 'script')}; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return content, ((b"content-security-policy", policy.encode()),)


def _hash(content: bytes, tag: str) -> str:
    inner = re.search(f"<{tag}>(.*?)</{tag}>".encode(), content, re.DOTALL)
    assert inner is not None
    digest = base64.b64encode(hashlib.sha256(inner[1]).digest()).decode()
    return f"'sha256-{digest}'"
