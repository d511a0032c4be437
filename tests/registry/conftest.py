from __future__ import annotations

from tests.tracking.conftest import _own_places, checkout

__all__ = ["_own_places", "checkout"]
