"""The fork server's owner: `workbench repro` starts a warm process for the time of its work.

Most of a short stage is third-party imports. `execution.warm` does them once, `execution.client`
has stages forked from it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.execution import warm

PRELOAD = (
    "numpy",
    "pyarrow.parquet",
    "duckdb",
    "ibis.backends.duckdb",
    "pandera.ibis",
    "torch",
    "torch._dynamo",
    "torch.onnx._internal.exporter._core",
    "onnx",
    "onnxscript",
    "sklearn.linear_model",
    "sklearn.ensemble",
    "safetensors.torch",
)
"""Third-party modules in the order in which stages need them; what is missing is left out.

Not onnxruntime: it starts a thread when imported, and its exit handler waits for that thread for
ever in a fork. Its import takes 0.05 s once NumPy is there.
"""


@dataclass(frozen=True)
class ForkServer:
    """A server to be started for the time of one `repro`.

    preload: names of third-party modules to import, most urgent first.
    """

    preload: tuple[str, ...] = PRELOAD

    @contextlib.contextmanager
    def start(self) -> Iterator[int | None]:
        """Run the server for the block and name its socket in `os.environ`; yield its pid.

        Yields None where forking is not safe (not Linux). The server ends with the block, and
        with this process, however that ends; a process that this one forked and that outlives it
        without an `exec` would keep the server alive.
        """
        if sys.platform != "linux":
            yield None
            return
        folder = _private_folder()
        path = folder / "socket"
        lifeline, held_open = os.pipe()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            fds = (listener.fileno(), lifeline)
            command = [sys.executable, warm.__file__, *map(str, fds), *self.preload]
            # Its own session: Ctrl-C reaches a stage once, through its client.
            server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=fds,
                start_new_session=True,
            )
        os.close(lifeline)
        before = os.environ.get(warm.VARIABLE)
        os.environ[warm.VARIABLE] = str(path)
        try:
            yield server.pid
        finally:
            if before is None:
                del os.environ[warm.VARIABLE]
            else:
                os.environ[warm.VARIABLE] = before
            server.kill()  # it may be in the middle of an import and has nothing to save
            server.wait()
            os.close(held_open)
            shutil.rmtree(folder)


def _private_folder() -> Path:
    """Make a folder that only this user can enter, short enough for a socket's path."""
    folder = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="workbench-", dir=folder if len(folder) < 70 else "/tmp"))
