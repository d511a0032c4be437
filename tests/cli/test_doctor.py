"""`workbench doctor`: what is broken is named in plain words, with a command that mends it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import CLI, Checkout, environment, new_checkout
from tests.servers import free_port
from tests.terminal import in_terminal
from workbench.cli.doctor.examine import looked, parts
from workbench.cli.up import PORTS

Findings = dict[str, dict[str, str]]
ENVIRONMENT = Path(sys.executable).parent


def found(checkout: Checkout, code: int = 0, **environ: str) -> Findings:
    told = checkout.workbench("doctor", "--json", **environ)
    assert told.code == code, told.text
    assert "Traceback" not in told.text
    return {f["what"]: f for f in json.loads(told.text)}


def at(checkout: Checkout, *whats: str, **environ: str) -> Findings:
    """What these looks alone find: the same code, without the others and without a start."""
    with contextlib.chdir(checkout.root), pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        chosen = [part for part in parts(checkout.paths) if part.what in whats]
        assert len(chosen) == len(whats)
        listed = [one for part in chosen for one in looked(part, checkout.paths)]
    return {one.what: dataclasses.asdict(one) for one in listed}


def run_fix(checkout: Checkout, finding: dict[str, str]) -> None:
    """What a beginner does: copy the command and run it."""
    done = checkout.run("bash", "-c", finding["fix"])
    assert done.code == 0, done.text


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout in which nothing has run; every test leaves it as it was."""
    made = new_checkout(tmp_path_factory.mktemp("ward") / "checkout")
    yield made
    made.close()


@contextlib.contextmanager
def changed(file: Path, text: str | None) -> Iterator[None]:
    """Other content for a while; None: no file."""
    before = file.read_bytes() if file.exists() else None
    try:
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        yield
    finally:
        file.unlink(missing_ok=True)
        if before is not None:
            file.write_bytes(before)


# ---- a whole checkout


def test_a_whole_checkout_is_good_and_what_could_be_better_is_a_note(desk: Checkout) -> None:
    findings = found(desk)
    assert {f["state"] for f in findings.values()} <= {"good", "note"}
    assert findings["params.yaml"]["found"] == "pipelines: small"
    assert findings["next run"]["state"] == "good"
    assert findings["DVC cache"]["found"].endswith("stages made is whole")
    assert findings["DVC remote"]["state"] == "note"
    assert "dvc remote add" in findings["DVC remote"]["fix"]
    groups = [f["group"] for f in findings.values()]
    order = ["machine", "energy", "software", "this checkout", "state and team", "ports"]
    assert list(dict.fromkeys(groups)) == order


def test_every_note_and_every_bad_finding_says_what_mends_it(desk: Checkout) -> None:
    for finding in found(desk).values():
        assert finding["state"] == "good" or finding["fix"], finding


def test_the_last_line_says_what_to_do_first(desk: Checkout, ward: Checkout) -> None:
    assert "All is up to date" in desk.workbench("doctor").ok().text.splitlines()[-1]
    assert "You can start: workbench repro" in ward.workbench("doctor").ok().text.splitlines()[-1]
    with changed(ward.root / "requirements.txt", None):
        last = ward.workbench("doctor").failed().text.splitlines()[-1]
    assert last.startswith("1 thing stops you. First, packages: git checkout requirements.txt")


def test_looking_changes_nothing(ward: Checkout) -> None:
    def files() -> set[str]:
        skipped = (".git", "__pycache__")
        walked = (p.relative_to(ward.root) for p in ward.root.rglob("*"))
        return {str(p) for p in walked if not set(skipped) & set(p.parts)}

    ward.workbench("doctor").ok()
    before = files()
    assert not any(name.endswith(".db") for name in before)
    ward.workbench("doctor").ok()
    assert files() == before


def test_a_person_sees_what_is_looked_at_and_a_mark_for_each_finding(ward: Checkout) -> None:
    shown = in_terminal(*CLI, "doctor", cwd=ward.root, columns=80)
    assert "looking at" in shown
    plain = ward.workbench("doctor").ok().text
    assert "looking at" not in plain.splitlines()[0]
    assert any(line.startswith("note  DVC remote") for line in plain.splitlines())


def test_a_command_is_never_broken_over_lines(ward: Checkout) -> None:
    with changed(ward.root / ".dvc" / "config", "[core]\n remote = a\n['remote \"a\"']\n url = /x"):
        fix = at(ward, "DVC remote")["DVC remote"]["fix"]
        narrow = ward.workbench("doctor", COLUMNS="40").ok().text
    assert fix in narrow


# ---- the checkout


def test_outside_of_a_checkout_the_way_into_one_is_given(ward: Checkout) -> None:
    outside = ward.root.parent
    told = subprocess.run(
        [*CLI, "doctor"],
        cwd=outside,
        env=environment() | {"PYTHONPATH": str(ward.root)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1
    assert told.stderr == ""
    assert told.stdout.splitlines()[-1] == "1 thing stops you. First, checkout: cd checkout"


def test_broken_settings_are_said_once_and_stop(ward: Checkout) -> None:
    text = (ward.root / "params.yaml").read_text()
    with changed(ward.root / "params.yaml", text.replace("  clean:", "  claen:")):
        bad = [f for f in found(ward, 1).values() if f["state"] == "bad"]
        assert [f["what"] for f in bad] == ["params.yaml"]
        assert "claen" in bad[0]["found"]
        ward.workbench("doctor").failed("bad params.yaml", "1 thing stops you")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00small", b"a: [1\n", b"", b"- 1\n"])
def test_settings_that_are_no_settings_are_no_traceback(ward: Checkout, content: bytes) -> None:
    file = ward.root / "params.yaml"
    with changed(file, ""):
        file.write_bytes(content)
        assert found(ward, 1)["params.yaml"]["state"] == "bad"


def test_a_notebook_that_is_no_python_is_named(ward: Checkout) -> None:
    notebook = ward.root / "pipelines" / "small.py"
    with changed(notebook, notebook.read_text() + "\ndef (:\n"):
        finding = found(ward, 1)["pipelines"]
    assert finding["state"] == "bad"
    assert "small.py" in finding["found"]


def test_more_threads_than_cores_are_noted(ward: Checkout) -> None:
    text = (ward.root / "params.yaml").read_text()
    with changed(ward.root / "params.yaml", text.replace("threads: 2}", "threads: 9999}")):
        finding = at(ward, "params.yaml")["threads"]
    assert finding["state"] == "note"
    assert "engine.threads is 9999" in finding["found"]


def test_a_folder_without_git_is_bad_and_the_command_mends_it(ward: Checkout) -> None:
    (ward.root / ".git").rename(ward.root / "git")
    try:
        finding = at(ward, "Git")["Git"]
        assert finding["found"] == "this folder is no repository"
        run_fix(ward, finding)
        assert at(ward, "Git")["Git"]["found"] == "no commit yet"
    finally:
        shutil.rmtree(ward.root / ".git")
        (ward.root / "git").rename(ward.root / ".git")


def test_git_that_does_not_know_you_is_noted_and_the_command_mends_it(
    ward: Checkout, tmp_path: Path
) -> None:
    nobody = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    nobody["GIT_CONFIG_SYSTEM"] = nobody["GIT_CONFIG_GLOBAL"] = str(tmp_path / "gitconfig")
    finding = at(ward, "Git", **nobody)["Git identity"]
    assert finding["state"] == "note"
    assert ward.run("bash", "-c", finding["fix"], **nobody).code == 0
    assert "Git identity" not in at(ward, "Git", **nobody)


def test_what_is_not_committed_is_counted(ward: Checkout) -> None:
    with changed(ward.root / "notes.md", "mine"):
        finding = at(ward, "Git")["Git"]
    assert finding["found"] == "1 file not committed"
    assert finding["fix"].startswith("git add . && git commit")


def test_state_that_others_may_read_is_noted_and_the_command_mends_it(ward: Checkout) -> None:
    ward.paths.home.mkdir(exist_ok=True)
    ward.paths.home.chmod(0o755)
    finding = at(ward, ".workbench")[".workbench"]
    assert finding["state"] == "note"
    run_fix(ward, finding)
    assert at(ward, ".workbench")[".workbench"]["state"] == "good"
    assert ward.paths.home.stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_place_of_the_state_is_bad_and_the_command_mends_it(ward: Checkout) -> None:
    shutil.rmtree(ward.paths.home, ignore_errors=True)
    ward.paths.home.write_text("")
    try:
        finding = at(ward, ".workbench")[".workbench"]
        run_fix(ward, finding)
        assert found(ward)[".workbench"]["state"] == "good"
    finally:
        (ward.root / ".workbench.before").unlink(missing_ok=True)


# ---- data


def test_a_remote_folder_that_is_gone_is_named_and_the_command_fills_it(small: Checkout) -> None:
    store = small.root.parent / f"{small.root.name} store"
    small.run("dvc", "remote", "add", "-d", "store", str(store))
    try:
        finding = at(small, "DVC remote")["DVC remote"]
        assert str(store) in finding["found"]
        assert "is its disk mounted?" in finding["found"]
        store.mkdir()
        lacking = at(small, "DVC remote")["DVC remote"]
        assert "only on this machine" in lacking["found"]
        assert lacking["fix"] == "dvc push"
        run_fix(small, finding)
        assert at(small, "DVC remote")["DVC remote"]["found"] == f"{store} has all"
    finally:
        shutil.rmtree(store, ignore_errors=True)


def test_a_remote_in_the_network_is_not_asked_and_shows_no_key(ward: Checkout) -> None:
    url = "s3://lea:geheim@bucket.example/data"
    settings = f"[core]\n remote = far\n['remote \"far\"']\n url = {url}\n"
    with changed(ward.root / ".dvc" / "config", settings):
        finding = at(ward, "DVC remote")["DVC remote"]
    assert "geheim" not in str(finding)
    assert "dvc-s3" in finding["fix"] or "not asked here" in finding["found"]


@pytest.mark.parametrize("settings", ["[core\n", "['remote \"a\"']\n url = /x\n", "\x00"])
def test_settings_of_dvc_that_mislead_are_noted(ward: Checkout, settings: str) -> None:
    with changed(ward.root / ".dvc" / "config", settings):
        finding = at(ward, "DVC remote")["DVC remote"]
    assert finding["state"] == "note"
    assert finding["fix"]


def test_a_broken_lock_file_is_said_once(ward: Checkout) -> None:
    with changed(ward.root / "dvc.lock", "stages: [\n"):
        bad = [f for f in found(ward, 1).values() if "dvc.lock" in f["found"]]
    assert len(bad) == 1
    assert "git checkout dvc.lock" in bad[0]["fix"]


def test_a_source_that_is_gone_or_changed_is_named(ward: Checkout, tmp_path: Path) -> None:
    from workbench.cli.doctor.checkout import sources

    file = tmp_path / "shop 😀.csv"
    file.write_text("a,b\n1,2\n")
    params = yaml.safe_load((ward.root / "params.yaml").read_text())
    digest = "0f06a18d0fdcb6ba0e3bd0e2cbd3cbb4d17a6ad4e25b5d0b0f6ff5e1a2bb2b01"
    params["small"]["collect"]["source"] = {
        "where": str(file),
        "format": "csv",
        "sha256": digest,
    }
    with changed(ward.root / "params.yaml", yaml.safe_dump(params)):
        assert "has changed since it was pinned" in next(iter(sources(ward.paths))).found
        file.unlink()
        gone = next(iter(sources(ward.paths)))
    assert gone.found == f"{file} is gone"
    assert gone.state == "bad"  # nothing was collected before
    assert gone.fix == "workbench refresh small --data FILE"


# ---- ledger and MLflow


def test_a_database_server_that_is_away_is_a_note_without_its_password(ward: Checkout) -> None:
    away = f"postgresql://lea:geheim@127.0.0.1:{free_port()}/ledger"
    environ = {"WORKBENCH_LEDGER_URL": away, "MLFLOW_TRACKING_URI": away}
    told = ward.workbench("doctor", "--json", **environ).ok()
    assert "geheim" not in told.text
    findings = {f["what"]: f for f in json.loads(told.text)}
    for what in ("ledger", "tracking (MLflow)"):
        assert findings[what]["state"] == "note"
        assert "out of reach" in findings[what]["found"]
        assert "start the server" in findings[what]["fix"]


def test_a_server_that_takes_calls_and_never_answers_is_given_up(ward: Checkout) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        findings = found(
            ward,
            MLFLOW_TRACKING_URI=f"http://lea:geheim@{address}",
            WORKBENCH_LEDGER_URL=f"postgresql://lea@{address}/ledger",
        )
    for what in ("ledger", "tracking (MLflow)"):
        assert findings[what]["state"] == "note", findings[what]
        assert "answer" in findings[what]["found"] or "timeout" in findings[what]["found"]
        assert "geheim" not in str(findings[what])


@contextlib.contextmanager
def web(version: str) -> Iterator[str]:
    """A server that says this for its version."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(version.encode())

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_mlflow_s_server_says_its_version_and_what_is_no_mlflow_is_noted(ward: Checkout) -> None:
    ours = metadata.version("mlflow")
    for version, state, words in (
        (ours, "good", f"answers (MLflow {ours})"),
        ("1.30.0", "note", "runs MLflow 1.30.0"),
        ("<html>", "note", "not as MLflow does"),
    ):
        with web(version) as url:
            finding = at(ward, "tracking (MLflow)", MLFLOW_TRACKING_URI=url)["tracking (MLflow)"]
        assert finding["state"] == state
        assert words in finding["found"]


def test_a_damaged_ledger_is_noted_and_the_command_mends_it(small: Checkout) -> None:
    file = small.paths.home / "ledger.db"
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (small.paths.home / name).unlink(missing_ok=True)
    file.write_bytes(b"no database at all, " * 100)
    finding = at(small, "ledger")["ledger"]
    assert "is damaged" in finding["found"]
    run_fix(small, finding | {"fix": finding["fix"].replace("workbench sync", ours("sync"))})
    assert at(small, "ledger")["ledger"]["state"] == "good"
    with contextlib.closing(sqlite3.connect(file)) as ledger:
        assert ledger.execute("SELECT count(*) FROM usage").fetchone()[0] > 0


def ours(command: str) -> str:
    """The library of the checkout, where `workbench` would be the one of the repository."""
    return f"{sys.executable} -m workbench.cli.main {command}"


# ---- ports and software


def test_a_port_in_use_is_noted_with_a_free_one(ward: Checkout) -> None:
    port = PORTS["notebooks"]
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        finding = at(ward, "ports")[f"port {port} (notebooks)"]
    assert finding["state"] == "note"
    free = int(finding["fix"].removeprefix("workbench up --notebooks-port "))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", free))


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A real environment that has every package of this one, each as a link; its packages."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True, timeout=60
    )
    inside = next((tmp_path / "env" / "lib").glob("python3.*/site-packages"))
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "editable" not in entry.name and entry.name != "__pycache__":
            (inside / entry.name).symlink_to(entry)
    return inside


def in_venv(ward: Checkout, packages: Path, code: int) -> Findings:
    python = packages.parents[2] / "bin" / "python"
    told = ward.run(str(python), "-m", "workbench.cli.main", "doctor", "--json")
    assert told.code == code, told.text
    return {f["what"]: f for f in json.loads(told.text)}


def without(packages: Path, *names: str) -> None:
    for name in names:
        for entry in packages.glob(f"{name}*"):
            entry.unlink()


def test_a_missing_package_is_bad_and_the_command_is_of_its_environment(
    ward: Checkout, venv: Path
) -> None:
    without(venv, "onnxruntime", "pandera", "streamlit")
    findings = in_venv(ward, venv, 1)
    finding = findings["packages"]
    assert finding["state"] == "bad"
    assert finding["found"] == "not installed: onnxruntime, pandera"
    assert finding["fix"].endswith("install -r requirements.txt")
    assert str(venv.parents[2] / "bin" / "python") in finding["fix"]
    assert "streamlit" in findings["notebooks and dashboards"]["found"]


def test_doctor_still_looks_where_what_it_looks_with_is_missing(ward: Checkout, venv: Path) -> None:
    without(venv, "yaml", "PyYAML", "pyyaml", "sqlalchemy", "dvc", "mlflow")
    findings = in_venv(ward, venv, 1)
    assert "yaml" in findings["params.yaml"]["found"]
    assert findings["processor"]["state"] == "good"
    assert findings["packages"]["found"].startswith("not installed: dvc, mlflow, PyYAML")


def test_another_version_than_the_pinned_one_is_noted(ward: Checkout, venv: Path) -> None:
    info = next(venv.glob("duckdb-*.dist-info"))
    meta = (info / "METADATA").read_text()
    info.unlink()
    info.mkdir()
    version = metadata.version("duckdb")
    (info / "METADATA").write_text(meta.replace(f"Version: {version}", "Version: 1.0.0", 1))
    finding = in_venv(ward, venv, 0)["package versions"]
    assert finding["state"] == "note"
    assert f"duckdb 1.0.0, pinned is {version}" in finding["found"]


def test_a_shell_that_does_not_find_the_commands_is_told_how(ward: Checkout) -> None:
    if not (ENVIRONMENT / "activate").exists():
        pytest.skip("not run: needs an environment of its own")
    usual = os.pathsep.join(
        folder
        for folder in os.environ["PATH"].split(os.pathsep)
        if not (Path(folder) / "workbench").exists() and not (Path(folder) / "dvc").exists()
    )
    finding = found(ward, PATH=usual)["your shell"]
    script = f"{finding['fix']} && command -v workbench dvc"
    told = ward.run("bash", "-c", script, PATH=usual)
    assert told.text.split() == [str(ENVIRONMENT / "workbench"), str(ENVIRONMENT / "dvc")]
    assert "your shell" not in found(ward)


# ---- what nobody foresaw


def test_an_error_that_nobody_foresaw_is_a_finding_and_debug_shows_its_place(
    ward: Checkout,
) -> None:
    lock = {"schema": "2.0", "stages": {"collect@small": {"cmd": "x", "outs": 7}}}
    with changed(ward.root / "dvc.lock", yaml.safe_dump(lock)):
        told = ward.workbench("doctor")
        told.failed("could not be looked at: TypeError", "workbench --debug doctor")
        assert "Traceback" in ward.workbench("--debug", "doctor").text
