"""Alerts: what somebody should know, said once, again after a while, and when it is over.

They go to the log, to a file of lines of JSON, and to a webhook whose address is a secret of the
environment. Which are open is kept on disk, so that a restart neither repeats nor forgets one.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from workbench.core.deploy import Alerts
from workbench.core.files import read_json, write_json
from workbench.core.records import VERSION
from workbench.core.secrets import private, private_folder
from workbench.monitoring.webhook import Webhook

QUIET_S = 60.0
"""How long a thing must not be seen any more until it is said to be over."""

_logger = logging.getLogger(__name__)
_LOGGED = {"critical": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}


@dataclass(frozen=True)
class Alert:
    """One thing that somebody should know, or that it is over.

    what: names it within its pipeline, for example `drift:input:amount`. since_s: when it was
    first seen; said_s: when it was last said (seconds since 1970 UTC). rehearsal: seen in requests
    that were marked as such: nobody is woken for it.
    """

    pipeline: str
    what: str
    severity: Literal["critical", "warning", "info"]
    sentence: str
    since_s: float
    value: float | None = None
    limit: float | None = None
    rehearsal: bool = False
    state: Literal["open", "again", "ended"] = "open"
    said_s: float = 0.0

    @property
    def key(self) -> tuple[str, str, bool]:
        """What makes it the same alert at another time."""
        return self.pipeline, self.what, self.rehearsal


class _Open(msgspec.Struct):
    """An alert that was said. seen_s: when it was last found."""

    alert: Alert
    seen_s: float


class _State(msgspec.Struct):
    alerts: list[_Open] = []
    version: int = VERSION


class Desk:
    """Keeps what is open and says what is new.

    folder: of the file of alerts and of what is open. settings: of a pipeline.
    """

    def __init__(self, folder: Path, settings: Callable[[str], Alerts]) -> None:
        self.folder = folder
        self.settings = settings
        self._state = folder / "alerts-open.json"
        self._webhooks: dict[str, Webhook] = {}
        self._open = {entry.alert.key: entry for entry in _read(self._state).alerts}

    def open(self, pipeline: str | None = None) -> list[Alert]:
        """What is open now, of one pipeline or of all."""
        return [e.alert for e in self._open.values() if pipeline in (None, e.alert.pipeline)]

    def settle(
        self, found: Iterable[Alert], now: float, unknown: Iterable[str] = ()
    ) -> list[Alert]:
        """Take what was found at a look; say and return what is new, repeated or over.

        unknown: pipelines that could not be looked at: what is open there stays open.
        """
        before = {key: (e.alert, e.alert.said_s) for key, e in self._open.items()}
        said: list[Alert] = []
        for alert in found:
            said += self._take(alert, now)
        skipped = set(unknown)
        for key, entry in list(self._open.items()):
            if entry.alert.pipeline in skipped:
                entry.seen_s = now
            elif now - entry.seen_s >= QUIET_S:
                del self._open[key]
                said.append(_ended(entry.alert, now))
        if said or before.keys() != self._open.keys():
            write_json(self._state, _State(list(self._open.values())))
        for alert in said:
            self._say(alert)
        return said

    def close(self) -> None:
        """Let webhooks deliver what they have, for some seconds at most."""
        for webhook in self._webhooks.values():
            webhook.close()

    def _take(self, alert: Alert, now: float) -> list[Alert]:
        """Note one finding; the alert to be said, if it is time."""
        entry = self._open.get(alert.key)
        again_s = self.settings(alert.pipeline).again_minutes * 60
        if entry is None:
            new = dataclasses.replace(alert, state="open", said_s=now)
        else:
            was = entry.alert
            is_worse = was.severity != "critical" and alert.severity == "critical"
            is_time = is_worse or now - was.said_s >= again_s
            new = dataclasses.replace(
                alert, since_s=was.since_s, state="again", said_s=now if is_time else was.said_s
            )
            if not is_time:
                self._open[alert.key] = _Open(new, now)
                return []
        self._open[alert.key] = _Open(new, now)
        return [new]

    def _say(self, alert: Alert) -> None:
        settings = self.settings(alert.pipeline)
        level = logging.INFO if alert.state == "ended" else _LOGGED[alert.severity]
        _logger.log(
            level, "%s", alert.sentence, extra={"fields": {"alert": msgspec.to_builtins(alert)}}
        )
        self._file(settings, alert)
        if settings.webhook_env and not alert.rehearsal:
            webhook = self._webhooks.get(settings.webhook_env)
            if webhook is None:
                webhook = self._webhooks[settings.webhook_env] = Webhook(settings.webhook_env)
            webhook.post(msgspec.json.encode(alert))

    def _file(self, settings: Alerts, alert: Alert) -> None:
        """One line, in one write; a full disk must not keep the others from hearing of it."""
        try:
            private_folder(self.folder)
            with open(
                self.folder / Path(settings.file).name, "ab", buffering=0, opener=private
            ) as file:
                file.write(msgspec.json.encode(alert) + b"\n")
        except OSError as error:
            _logger.warning("alerts cannot be written to %s: %s", self.folder, error.strerror)


def _ended(alert: Alert, now: float) -> Alert:
    minutes = (now - alert.since_s) / 60
    return dataclasses.replace(
        alert,
        state="ended",
        said_s=now,
        sentence=f"Over after {minutes:.0f} minutes: {alert.sentence}",
    )


def read_alerts(file: Path, limit: int = 200) -> list[Alert]:
    """The newest alerts of a file, newest first."""
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found: list[Alert] = []
    for line in reversed(lines):
        try:
            found.append(msgspec.json.decode(line, type=Alert))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # torn by a crash
        if len(found) == limit:
            break
    return found


def _read(path: Path) -> _State:
    """What was open; what cannot be read is said again, which is the lesser evil."""
    try:
        return read_json(path, _State)
    except FileNotFoundError:
        return _State()
    except (OSError, msgspec.DecodeError, ValueError) as error:
        _logger.warning("%s cannot be read: %s", path.name, error)
        return _State()
