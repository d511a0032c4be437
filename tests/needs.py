"""What a test needs from the machine: absent at a desk, it is not run; in CI, it fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def not_run(reason: str) -> NoReturn:
    """Skip with `not run: needs ...`; where CI=true, fail: there everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"not run: needs {reason}, and CI must have it", pytrace=False)
    pytest.skip(f"not run: needs {reason}")
