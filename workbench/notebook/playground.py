"""A copy of what is deployed, with a server of its own, in which nothing that is tried matters."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from workbench.core.errors import MissingError
from workbench.core.paths import Paths
from workbench.registry import history
from workbench.registry.log import Event, append, read_log
from workbench.registry.pointer import point
from workbench.registry.rollout import begin, standing
from workbench.registry.signing import sign
from workbench.storage.bundle import seal

# A kernel that is killed runs no `atexit`.
_COMMAND = """
from workbench.execution.parent import die_with_parent
from workbench.cli.main import main

die_with_parent()
main()
"""
READY_S, END_S = 60.0, 15.0
_OUTSIDE = ("WORKBENCH_", "MLFLOW_", "OTEL_", "PYTHONPATH")
"""Variables that would lead out of the copy."""


@dataclass
class Playground:
    """A checkout in a temporary folder: params, release log, bundles and held-out rows.

    url: of its server once it is started. All that it started ends with `close`, and with Python.
    """

    paths: Paths
    pipeline: str
    url: str = ""
    running: dict[str, subprocess.Popen[bytes]] = field(
        default_factory=dict[str, "subprocess.Popen[bytes]"]
    )

    def serve(self) -> str:
        """Start server and monitor on a free port, and return its address once it answers.

        MissingError, with what it said last, where it does not come up.
        """
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._start("server", "serve", "--port", str(port))
        deadline = time.monotonic() + READY_S
        while not _answers(port):
            if self.running["server"].poll() is not None or time.monotonic() > deadline:
                said = self._log("server").read_text(errors="replace").strip().splitlines()
                raise MissingError(f"The server did not start: {said[-1] if said else 'no word'}.")
            time.sleep(0.1)
        self.url = f"http://127.0.0.1:{port}"
        return self.url

    def traffic(self, *options: str) -> None:
        """Begin to send held-out rows: `workbench traffic` with these options, one at a time."""
        self.stop("traffic")
        self._start("traffic", "traffic", self.pipeline, "--url", self.url, *options)

    def twin(self) -> int:
        """Release the champion's model once more, under another card; its number.

        For want of another release: it answers alike, so it has to prove no worse.
        """
        events = read_log(self.paths, self.pipeline)
        champion = history.aliases(events)[history.CHAMPION]
        number = max(history.releases(events)) + 1
        with tempfile.TemporaryDirectory(prefix="twin-") as folder:
            bundle = Path(folder) / "bundle"
            shutil.copytree(self.paths.bundles / champion.digest, bundle)
            card = bundle / "card.md"
            before = card.read_text(encoding="utf-8") if card.is_file() else ""
            card.write_text(f"{before}\nRelease {number} is its twin.\n", encoding="utf-8")
            digest = seal(bundle)
            shutil.copytree(bundle, self.paths.bundles / digest, dirs_exist_ok=True)
        sign(self.paths, digest)
        made = Event("release", self.pipeline, digest, champion.run_id, number)
        append(self.paths, self.pipeline, [made])
        return number

    def canary(self, weight: float = 0.5) -> int:
        """Let a twin answer a share of the requests; the number of the release."""
        number = self.twin()
        begin(self.paths, self.pipeline, number, "canary", weight)
        return number

    @property
    def champion(self) -> int | None:
        """Number of the release that answers now."""
        event = standing(self.paths, self.pipeline).champion
        return event.release if event else None

    def is_running(self, what: str) -> bool:
        """Whether `server` or `traffic` runs."""
        return what in self.running and self.running[what].poll() is None

    def stop(self, what: str) -> None:
        """End one of them, as Ctrl-C would."""
        process = self.running.pop(what, None)
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End all that runs, and remove the copy."""
        atexit.unregister(self.close)
        for what in ("traffic", "server"):
            self.stop(what)
        self.url = ""
        shutil.rmtree(self.paths.root, ignore_errors=True)

    def _start(self, what: str, *arguments: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_OUTSIDE)}
        library = str(Path(__file__).resolve().parents[2])
        with self._log(what).open("wb") as log:
            self.running[what] = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, *arguments],
                cwd=self.paths.root,
                env=kept | {"PYTHONPATH": library},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C of the notebook is for the notebook
            )

    def _log(self, what: str) -> Path:
        return self.paths.root / f"{what}.log"


def playground(paths: Paths, pipeline: str) -> Playground:
    """Copy what is deployed of `pipeline`; MissingError where nothing is."""
    if standing(paths, pipeline).champion is None:
        raise MissingError(
            f"'{pipeline}' has no champion to play with.", fix=f"run `workbench repro {pipeline}`"
        )
    root = Path(tempfile.mkdtemp(prefix="playground-")).resolve()
    copy = Paths(root, root / ".workbench")
    made = Playground(copy, pipeline)
    atexit.register(made.close)
    shutil.copy(paths.params, copy.params)
    copy.release_log(pipeline).parent.mkdir()
    shutil.copy(paths.release_log(pipeline), copy.release_log(pipeline))
    shutil.copytree(paths.stage("split", pipeline), copy.stage("split", pipeline))
    for place, target in ((paths.bundles, copy.bundles), (paths.trusted, copy.trusted)):
        if place.is_dir():
            shutil.copytree(place, target)
    for key, target in (
        (paths.signing_key, copy.signing_key),
        (paths.signing_public, copy.signing_public),
    ):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(key, target)
    point(copy, pipeline, read_log(copy, pipeline))
    return made


def _answers(port: int) -> bool:
    """Whether a server on this machine says that it is ready."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
