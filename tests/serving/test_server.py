from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading

import pytest

from tests.serving import bundles
from workbench.core.errors import BusyError, MissingError
from workbench.serving.server import listen
from workbench.storage.pointer import Pointer, Target, write_pointer
from workbench.storage.predictions.reading import find_passport, read_passports

ROW = {"amount": 100, "country": "fr"}


def test_it_answers_the_champion_and_ends_cleanly_on_a_signal(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=4)
    server = serve(paths)
    assert server.until_loaded()["ready"] is True
    said = server.client.post("/predict/fraud", json=ROW)
    assert (said.status_code, said.json()["release"]) == (200, 4)
    assert server.client.get("/v2/health/live").json() == {"live": True}
    (line,) = server.stop().splitlines()
    assert '"message": "loaded"' in line
    assert server.process.returncode == 0
    assert find_passport(paths, said.headers["x-prediction-id"]).release == 4


def test_ctrl_c_ends_it_cleanly_too(paths, serve):
    server = serve(paths)
    server.until(lambda said: "nothing is released" in said["problems"].get("models", ""))
    server.process.send_signal(signal.SIGINT)
    assert server.process.communicate(timeout=20)[1] == ""
    assert server.process.returncode == 0


def test_without_a_release_it_lives_and_says_that_nothing_is_released(paths, serve, tmp_path):
    server = serve(paths)
    server.until(lambda said: "nothing is released" in said["problems"].get("models", ""))
    assert server.client.get("/v2/health/ready").status_code == 503
    assert server.client.get("/v2/health/live").status_code == 200
    said = server.client.post("/predict/fraud", json=ROW)
    assert said.status_code == 503
    assert "Nothing is released" in said.json()["error"]
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    server.until(lambda said: said["ready"])
    assert server.client.post("/predict/fraud", json=ROW).status_code == 200


def test_a_new_release_is_swapped_in_under_load_without_a_failed_request(paths, serve, tmp_path):
    folders = [bundles.fraud(tmp_path / f"b{n}", weight=0.01 * (n + 1)) for n in range(3)]
    targets = [bundles.release(paths, "fraud", f, number=n) for n, f in enumerate(folders)]
    server = serve(paths)
    server.until(lambda said: said["ready"])
    seen: list[tuple[int, int, float]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            said = server.client.post("/predict/fraud", json=ROW)
            answer = said.json()
            seen.append((said.status_code, answer["release"], answer["outputs"]["score"]))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    for number, target in ((3, targets[0]), (4, targets[1]), (5, targets[2])):
        next_one = Target(target.digest, number, f"run-{number}")
        write_pointer(paths.pointer, Pointer(pipelines={"fraud": {"champion": next_one}}))
        server.until(lambda said, n=number: said["models"]["fraud"]["release"] == n)
    done.set()
    for thread in asking:
        thread.join()
    assert {status for status, _, _ in seen} == {200}
    assert {3, 4} <= {release for _, release, _ in seen}
    by_release: dict[int, set[float]] = {}
    for _, release, score in seen:
        by_release.setdefault(release, set()).add(score)
    assert all(len(scores) == 1 for scores in by_release.values()), "an answer mixed two releases"
    assert by_release[3] != by_release[4]


def test_a_damaged_bundle_is_not_served_and_the_others_are(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "fraud"))
    target = bundles.release(paths, "shop", bundles.shop(tmp_path / "shop"))
    (paths.bundles / target.digest / "lookups" / "films.json").write_text('["Zorro"]')
    server = serve(paths)
    said = server.until_loaded()
    assert (said["ready"], list(said["models"])) == (False, ["fraud"])
    assert "lookups/films.json" in said["problems"]["shop"]
    assert server.client.post("/predict/fraud", json=ROW).status_code == 200
    refused = server.client.post("/predict/shop", json={"seen": ["Alien"]})
    assert refused.status_code == 503
    assert "films.json" in refused.json()["error"]
    assert server.client.get("/v2/models/shop/ready").status_code == 503


@pytest.mark.parametrize("damage", ["half", "gone", "not a bundle"])
def test_a_pointer_that_cannot_be_followed_leaves_the_old_release_answering(
    paths, serve, tmp_path, damage
):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "fraud"), number=7)
    server = serve(paths)
    server.until(lambda said: said["ready"])
    whole = paths.pointer.read_text()
    if damage == "half":
        paths.pointer.write_text(whole[: len(whole) // 2])
    elif damage == "gone":
        paths.pointer.unlink()
    else:
        target = Target("0" * 64, 8, "run-8")
        write_pointer(paths.pointer, Pointer(pipelines={"fraud": {"champion": target}}))
    said = server.until(lambda said: said["problems"])
    assert said["ready"] is True
    assert ("fraud" if damage == "not a bundle" else "serving.json") in said["problems"]
    assert server.client.post("/predict/fraud", json=ROW).json()["release"] == 7
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "next", weight=1.0), number=9)
    server.until(lambda said: said["models"]["fraud"]["release"] == 9 and not said["problems"])


def test_passports_outlive_a_kill_but_for_the_last_second(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    server = serve(paths)
    server.until(lambda said: said["ready"])
    early = [server.client.post("/predict/fraud", json=ROW).json()["id"] for _ in range(50)]
    # Passports wait half a second before they are written; a full second is the promise.
    threading.Event().wait(1.0)
    for _ in range(50):
        server.client.post("/predict/fraud", json=ROW)
    server.kill()
    assert [find_passport(paths, id).id for id in early] == early
    (file,) = paths.predictions.glob("day=*/pipeline=fraud/*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'{"id":"torn in the mid')
    again = serve(paths)
    again.until(lambda said: said["ready"])
    late = again.client.post("/predict/fraud", json=ROW).json()["id"]
    again.stop()
    assert find_passport(paths, late).id == late
    ids = [passport.id for passport in read_passports(file)]
    assert ids[:50] == early
    assert ids[-1] == late
    assert sorted(ids) == ids


def test_a_body_over_the_limit_is_refused_on_the_wire(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    server = serve(paths)
    server.until(lambda said: said["ready"])
    said = server.client.post("/predict/fraud", content=b"[" + b"1," * (5 << 20))
    assert said.status_code == 413
    assert server.client.post("/predict/fraud", json=ROW).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_can_reach_is_refused_until_there_are_keys(host):
    with pytest.raises(MissingError, match="keys"):
        listen(host, 0)


def test_a_taken_port_is_said_in_a_sentence():
    with listen(port=0) as taken, pytest.raises(BusyError, match="cannot be had"):
        listen(port=taken.getsockname()[1])


def test_the_server_imports_no_heavy_library(paths, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    script = """
import json, sys
from pathlib import Path
from workbench.core.paths import Paths
import workbench.serving.server, workbench.serving.app, workbench.serving.explain, uvicorn
from workbench.serving.predict import predict
root = Path(sys.argv[1])
answer = predict(Paths(root, root / ".workbench"), "fraud", [{"amount": 1}])
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(paths.root)], check=True, capture_output=True, text=True
    )
    loaded = set(json.loads(run.stdout))
    assert "onnxruntime" in loaded
    assert not loaded & {"mlflow", "torch", "pandas", "pyarrow", "ibis", "duckdb"}


def test_ids_of_a_running_server_sort_by_time(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    server = serve(paths)
    server.until(lambda said: said["ready"])
    ids = [server.client.post("/predict/fraud", json=ROW).json()["id"] for _ in range(20)]
    assert sorted(set(ids)) == ids
    assert all(re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]{6}-[0-9a-f]{8}", id) for id in ids)
