"""What `params.yaml` says of deployments, as a running server knows it.

Read at the start and again when the file changes. One that cannot be read is an error at the start
and later leaves what was known before; a server far from any checkout, without the file, goes by
the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workbench.core.deploy import Deploy, Log
from workbench.core.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.core.paths import Paths

DEFAULT = Deploy()
_UNREAD = (-1, -1)


class Settings:
    """Settings by pipeline, and what a second of this machine costs.

    trouble: why the newest params.yaml is not followed; "" while it is. usd_per_s: the machine's
    price; None where the site names none. Electricity is left out: a budget is for calls, and the
    ledger has the whole.
    """

    def __init__(self, paths: Paths) -> None:
        self.path = paths.params
        self.trouble = ""
        self.usd_per_s: float | None = None
        self._logs: Mapping[str, Log] = {}
        self._stamp: tuple[int, int] = _UNREAD
        self._read()

    def log(self, pipeline: str) -> Log:
        """Settings of the prediction log."""
        return self._logs.get(pipeline, DEFAULT.log)

    def look(self) -> None:
        """Read the file if it is another than before; trouble says why it cannot be followed."""
        try:
            self._read()
        except (WorkbenchError, OSError) as error:
            self.trouble = f"{self.path.name} is not followed: {error}".replace("\n", " ")

    def _read(self) -> None:
        """Raises ParamsError: who starts must know what is private before the first answer."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return  # without a checkout
        stamp = found.st_mtime_ns, found.st_size
        if stamp == self._stamp:
            return
        self._stamp = stamp
        from workbench.core.params import read_params

        params = read_params(self.path)
        hourly = params.site.hardware_usd_per_hour
        self.usd_per_s = None if hourly is None else hourly / 3600
        self._logs = {name: block.deploy.log for name, block in params.blocks.items()}
        self.trouble = ""
