from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import shutil
import threading

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.serving import bundles
from workbench.core.files import digest_file
from workbench.serving.app import App
from workbench.serving.request import MAX_BODY
from workbench.serving.service import MAX_ROWS
from workbench.storage.bundle import seal
from workbench.storage.pointer import Pointer, Target, read_pointer, write_pointer
from workbench.storage.predictions.reading import find_passport


class Asgi:
    """The app on an event loop of its own, spoken to in ASGI: fast enough for fuzzing."""

    def __init__(self, paths) -> None:
        self.loop = asyncio.new_event_loop()
        self.app = App(paths)
        self.stop = asyncio.Event()
        self.life = self.loop.create_task(self._live())
        self.loop.run_until_complete(asyncio.sleep(0))
        while not self.app.service.models.loaded:
            self.loop.run_until_complete(asyncio.sleep(0.01))

    async def _live(self) -> None:
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive():
            message = next(messages)
            if message["type"] == "lifespan.shutdown":
                await self.stop.wait()
            return message

        async def send(message) -> None:
            assert message["type"].endswith(".complete")

        await self.app({"type": "lifespan"}, receive, send)

    def request(self, method: str, path: str, body: bytes = b"", headers=()):
        return self.loop.run_until_complete(self._request(method, path, body, headers))

    async def _request(self, method, path, body, headers):
        parts = [body[at : at + 65536] for at in range(0, len(body), 65536)] or [b""]
        waiting = [
            {"type": "http.request", "body": part, "more_body": at + 1 < len(parts)}
            for at, part in enumerate(parts)
        ]
        sent = []

        async def receive():
            return waiting.pop(0)

        async def send(message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
        await self.app(scope, receive, send)
        return sent[0]["status"], msgspec.json.decode(sent[1]["body"]), dict(sent[0]["headers"])

    def post(self, path: str, content):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.request("POST", path, body)

    def infer(self, name: str, *inputs: dict, **more):
        return self.post(f"/v2/models/{name}/infer", {"inputs": list(inputs), **more})

    def close(self) -> None:
        self.stop.set()
        self.loop.run_until_complete(self.life)
        self.loop.close()


@pytest.fixture(scope="module")
def asgi(tmp_path_factory):
    from workbench.core.paths import Paths

    root = tmp_path_factory.mktemp("served")
    paths = Paths(root, root / ".workbench")
    for name in ("fraud", "shop", "drive", "ask", "fragile"):
        bundles.release(paths, name, getattr(bundles, name)(root / name), number=3)
    served = Asgi(paths)
    yield served
    served.close()


def tensor(name="amount", shape=(1,), datatype="FP32", data=(1.0,)) -> dict:
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": list(data)}


def score(amount: float, code: int) -> float:
    return 1 / (1 + math.exp(-(0.01 * amount + code - 1)))


def test_v2_tensors_come_back_as_v2_tensors(asgi):
    status, said, headers = asgi.infer(
        "fraud",
        tensor(shape=[2], data=[100, None]),
        tensor("country", [2, 1], "BYTES", [["fr"], [None]]),
        id="mine",
    )
    assert status == 200
    assert (said["model_name"], said["model_version"], said["id"]) == ("fraud", "3", "mine")
    (output,) = said["outputs"]
    assert (output["name"], output["shape"], output["datatype"]) == ("score", [2], "FP32")
    assert output["data"] == pytest.approx([score(100, 2), score(0, 0)])
    assert headers[b"x-prediction-id"].decode() == said["parameters"]["id"]


def test_named_fields_come_back_as_named_outputs(asgi):
    status, said, headers = asgi.post("/predict/fraud", {"amount": 100, "country": "fr"})
    assert status == 200
    assert said["outputs"] == {"score": pytest.approx(score(100, 2)), "decision": True}
    assert said["notice"].startswith("A machine decided")
    assert headers[b"x-prediction-id"].decode() == said["id"]
    _, many, _ = asgi.post("/predict/fraud", {"rows": [{"amount": 100, "country": "fr"}, {}]})
    assert many["outputs"]["decision"] == [True, False]


def test_lists_images_and_texts_are_answered_on_both_routes(asgi):
    pixels = [[[1, 2, 3], [1, 2, 3]], [[1, 2, 3], [1, 2, 3]]]
    for name, fields, inputs, value in (
        ("shop", {"seen": ["Alien", "Brazil"]}, tensor("seen", [1, 2], "BYTES", FILMS[:2]), 1),
        ("drive", {"frame": pixels}, tensor("frame", [1, 2, 2, 3], "UINT8", [1, 2, 3] * 4), 2.0),
        ("ask", {"question": "hello world"}, tensor("question", [1], "BYTES", ["hello world"]), 5),
    ):
        status, said, _ = asgi.infer(name, inputs)
        assert (status, said["outputs"][0]["data"]) == (200, [value]), said
        status, said, _ = asgi.post(f"/predict/{name}", fields)
        (named,) = said["outputs"].values()
        assert (status, named) == (200, "Brazil" if name == "shop" else value)


FILMS = list(bundles.FILMS)


def test_wanted_outputs_are_given_and_no_others(asgi):
    _, said, _ = asgi.infer("fraud", tensor(), outputs=[{"name": "score"}])
    assert [output["name"] for output in said["outputs"]] == ["score"]
    status, said, _ = asgi.infer("fraud", tensor(), outputs=[{"name": "scores"}])
    assert (status, said["error"]) == (400, "Unknown output 'scores'. Did you mean 'score'?")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (tensor("amont"), ["'amont'", "Did you mean 'amount'?"]),
        (tensor(datatype="BYTES", data=["x"]), ["'amount'", "FP32", "got 'BYTES'"]),
        (tensor(datatype="FLOAT"), ["'amount'", "FP32", "got 'FLOAT'"]),
        (tensor(data=["1.5"]), ["'amount'", "FP32", "'1.5'", "data[0]"]),
        (tensor(data=[True]), ["'amount'", "FP32", "True"]),
        (tensor(datatype="INT64", data=[1.5]), ["'amount'", "INT64", "1.5"]),
        (tensor(datatype="INT32", data=[2**31]), ["'amount'", "INT32"]),
        (tensor(data=[1e300]), ["'amount'", "a number or null", "1e+300"]),
        (tensor(data=[1.0, 2.0]), ["'amount'", "[1]", "2 values, expected 1"]),
        (tensor(shape=[0], data=[]), ["'amount'", "at least one row"]),
        (tensor(shape=[1, 2], data=[1, 2]), ["'amount'", "[-1]", "[1, 2]"]),
        (tensor("country", datatype="FP32"), ["'country'", "BYTES", "got 'FP32'"]),
        (tensor("country", datatype="BYTES", data=[5]), ["'country'", "BYTES", "5"]),
        (tensor("paid_at", datatype="BYTES", data=["noon"]), ["'paid_at'", "ISO 8601", "noon"]),
    ],
)
def test_a_wrong_tensor_is_refused_by_name_with_what_was_expected(asgi, inputs, words):
    status, said, _ = asgi.infer("fraud", inputs)
    assert status == 400
    for word in words:
        assert word in said["error"]


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("fraud", {"amont": 1}, ["'amont'", "Did you mean 'amount'?"]),
        ("fraud", {"amount": "1"}, ["'amount'", "a number or null", "got 1 in rows[0]"]),
        ("fraud", {"amount": False}, ["'amount'", "a number or null"]),
        ("fraud", {"amount": [1]}, ["'amount'", "a number or null"]),
        ("fraud", {"country": 1.5}, ["'country'", "a word"]),
        ("fraud", {"paid_at": {}}, ["'paid_at'", "ISO 8601"]),
        ("fraud", {"rows": [{"amount": 1}, 7]}, ["rows[1]", "named fields"]),
        ("fraud", {"rows": []}, ["No rows"]),
        ("fraud", {}, ["No fields", "amount"]),
        ("fraud", [1], ["named fields"]),
        ("shop", {"seen": "Alien"}, ["'seen'", "a list of words"]),
        ("shop", {"seen": [["Alien"]]}, ["'seen'", "a list of words"]),
        ("drive", {"frame": [[[256] * 3] * 2] * 2}, ["'frame'", "[2, 2, 3]"]),
        ("drive", {"frame": [[[1.5] * 3] * 2] * 2}, ["'frame'", "[2, 2, 3]"]),
        ("drive", {"frame": [[1]]}, ["'frame'", "[2, 2, 3]"]),
        ("drive", {"frame": None}, ["'frame'", "[2, 2, 3]"]),
        ("drive", {"frame": "bm8gaW1hZ2U="}, ["'frame'"]),
        ("ask", {"question": 5}, ["'question'", "text or null"]),
        ("fragile", {"amount": 0}, ["no finite 'value'", "rows[0]"]),
    ],
)
def test_a_wrong_field_is_refused_by_name_with_what_was_expected(asgi, name, fields, words):
    status, said, _ = asgi.post(f"/predict/{name}", fields)
    assert status == 400
    for word in words:
        assert word in said["error"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b'{"inputs":[{"name":"amount","shape":[1],"datatype":"FP32","data":[NaN]}]}', "no NaN"),
        (
            b'{"inputs":[{"name":"amount","shape":[1],"datatype":"FP32","data":[-Infinity]}]}',
            "null",
        ),
        (b'{"inputs":[{"name":"amount","shape":[1],"datatype":"FP32","data":[1e999]}]}', "range"),
        (b"", "not JSON"),
        (b'{"id":"\xff"}', "UTF-8"),
        (b'{"inputs":[{"data":' + b"[" * 3000, "nested too deeply"),
        (b'{"inputs":[]}', "No inputs"),
        (b'{"inputs":[{"name":"amount"}]}', "shape"),
    ],
)
def test_a_body_that_is_no_request_is_refused_and_says_why(asgi, body, word):
    status, said, _ = asgi.post("/v2/models/fraud/infer", body)
    assert status == 400
    assert word in said["error"]


def test_unknown_models_versions_and_paths_name_the_known_ones(asgi):
    for path in ("/v2/models/froud", "/v2/models/froud/ready"):
        status, said, _ = asgi.request("GET", path)
        assert status == 404
        assert "Did you mean 'fraud'?" in said["error"]
        assert "ask, drive, fragile, fraud, shop" in said["error"]
    status, said, _ = asgi.request("GET", "/v2/models/fraud/versions/4")
    assert (status, "Served: 3." in said["error"]) == (404, True)
    assert asgi.request("GET", "/v2/models/fraud/versions/3/ready")[0] == 200
    status, said, _ = asgi.request("GET", "/favicon.ico")
    assert (status, "/v2/models/NAME" in said["error"]) == (404, True)


def test_the_wrong_method_is_told_the_right_one(asgi):
    status, _, headers = asgi.request("GET", "/predict/fraud")
    assert (status, headers[b"allow"]) == (405, b"POST")
    status, _, headers = asgi.request("DELETE", "/v2/models/fraud")
    assert (status, headers[b"allow"]) == (405, b"GET")


def test_too_much_is_refused_without_an_answer(asgi):
    status, said, _ = asgi.post("/predict/fraud", b" " * (MAX_BODY + 1))
    assert (status, str(MAX_BODY) in said["error"]) == (413, True)
    status, said, _ = asgi.post("/predict/fraud", {"rows": [{"amount": 1}] * (MAX_ROWS + 1)})
    assert (status, str(MAX_ROWS) in said["error"]) == (413, True)
    long = {"rows": [{"seen": ["Alien"] * 2000}] + [{"seen": []}] * 600}
    status, said, _ = asgi.post("/predict/shop", long)
    assert (status, "'seen'" in said["error"]) == (400, True)


def test_metadata_says_what_a_client_must_send(asgi):
    _, said, _ = asgi.request("GET", "/v2/models/fraud")
    assert [(i["name"], i["datatype"], i["shape"]) for i in said["inputs"]] == [
        ("amount", "FP32", [-1]),
        ("country", "BYTES", [-1]),
        ("paid_at", "INT64", [-1]),
    ]
    assert said["outputs"] == [{"name": "score", "datatype": "FP32", "shape": [-1]}]
    _, said, _ = asgi.request("GET", "/v2/models/drive/versions/3")
    assert said["inputs"][0]["shape"] == [-1, 2, 2, 3]


def test_a_batch_too_large_to_be_answered_in_place_is_answered_the_same(asgi):
    rows = [{"amount": float(row % 100), "country": "fr"} for row in range(9000)]
    _, said, _ = asgi.post("/predict/fraud", {"rows": rows})
    assert said["outputs"]["score"][:3] == pytest.approx([score(row, 2) for row in range(3)])
    assert len(said["outputs"]["score"]) == 9000


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["de", "2026-05-09T08:30:37", "9999-12-31T23:59:59-23:59", 2**63, 10**300])
)
datas = st.recursive(st.lists(leaves, max_size=4), lambda inner: st.lists(inner, max_size=3))
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["amount", "country", "paid_at", "seen", "question"]),
        "shape": st.lists(st.integers(-1, 4), max_size=3) | st.just([10**12]),
        "datatype": st.sampled_from(
            ["FP32", "FP64", "INT64", "INT32", "BYTES", "UINT8", "BOOL", "X"]
        ),
        "data": datas,
    }
)
near = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=3)},
    optional={"id": leaves, "outputs": st.lists(st.fixed_dictionaries({"name": leaves}))},
)
fits = st.integers(1, 3).flatmap(
    lambda rows: st.fixed_dictionaries(
        {
            "inputs": st.tuples(
                *(
                    st.fixed_dictionaries(
                        {
                            "name": st.just(name),
                            "shape": st.just([rows]),
                            "datatype": st.just(datatype),
                            "data": st.lists(values | st.none(), min_size=rows, max_size=rows),
                        }
                    )
                    for name, datatype, values in (
                        ("amount", "FP64", st.floats(allow_nan=False, allow_infinity=False)),
                        ("country", "BYTES", st.text(max_size=9)),
                        ("paid_at", "INT64", st.integers(-(2**63), 2**63 - 1)),
                    )
                )
            )
        }
    )
)
anything = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=near | fits | anything, name=st.sampled_from(["fraud", "shop", "ask"]))
def test_no_v2_body_is_ever_answered_by_an_internal_error(asgi, content, name):
    status, said, _ = asgi.post(f"/v2/models/{name}/infer", content)
    assert status in (200, 400), said
    assert ("error" in said) == (status == 400)
    if status == 200:
        for output in said["outputs"]:
            assert all(math.isfinite(value) for value in output["data"])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    content=st.dictionaries(
        st.sampled_from(["amount", "country", "paid_at", "seen", "question", "frame", "rows"]),
        anything,
        max_size=3,
    ),
    name=st.sampled_from(["fraud", "shop", "ask", "drive"]),
)
def test_no_row_is_ever_answered_by_an_internal_error(asgi, content, name):
    status, said, _ = asgi.post(f"/predict/{name}", content)
    assert status in (200, 400), said


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=200))
def test_no_bytes_are_ever_answered_by_an_internal_error(asgi, body):
    assert asgi.post("/v2/models/fraud/infer", body)[0] == 400


def test_every_answer_leaves_the_passport_that_its_id_names(asgi):
    _, said, _ = asgi.infer("fraud", tensor(), tensor("country", datatype="BYTES", data=["fr"]))
    asgi.app.service.log.flush()
    passport = find_passport(asgi.app.paths, said["id"])
    assert passport.rows == [{"amount": 1.0, "country": "fr"}]
    assert passport.outputs == {"score": said["outputs"][0]["data"]}
    assert (passport.release, passport.alias, passport.run_id) == (3, "champion", "run-3")


def test_an_output_named_twice_is_refused(asgi):
    outputs = [{"name": "score"}] * 2
    status, said, _ = asgi.infer("fraud", tensor(), outputs=outputs)
    assert (status, said["error"]) == (400, "Output 'score' is named twice.")


def test_too_many_rows_are_refused_before_any_is_looked_at(asgi):
    _, said, _ = asgi.post("/predict/fraud", {"rows": [3] * (MAX_ROWS + 1)})
    assert str(MAX_ROWS) in said["error"]
    many = tensor(shape=[MAX_ROWS + 1], data=["no number"] * (MAX_ROWS + 1))
    assert asgi.infer("fraud", many)[0] == 413


def test_a_name_of_megabytes_comes_back_short_and_soon(asgi):
    name = "amount" * 500_000
    for status, said, _ in (
        asgi.infer("fraud", tensor(name)),
        asgi.infer("fraud", tensor(), outputs=[{"name": name}]),
        asgi.post("/predict/fraud", {name: 1}),
    ):
        assert status == 400
        assert len(said["error"]) < 300


def test_an_image_file_of_another_size_is_refused_before_it_is_decoded(asgi):
    """Its data is cut off: who decoded it would complain of that."""
    file = io.BytesIO()
    Image.new("L", (5000, 5000)).save(file, "PNG")
    cut = base64.b64encode(file.getvalue()[:60]).decode()
    status, said, _ = asgi.post("/predict/drive", {"frame": cut})
    assert status == 400
    assert "has the shape [5000, 5000, 1], not [2, 2, 3]" in said["error"]
    assert "Next:" not in said["error"]


def test_texts_and_images_never_hold_up_the_event_loop(asgi, monkeypatch):
    """However fast the example was: a client decides how long a text is."""
    where = []
    for name, row in (("ask", {"question": "hello"}), ("fraud", {"amount": 1})):
        bundle = asgi.app.service.models.by_name[name].bundle
        predict = bundle.predict

        def seen(columns, predict=predict):
            where.append(threading.current_thread() is threading.main_thread())
            return predict(columns)

        monkeypatch.setattr(bundle, "predict", seen)
        assert asgi.post(f"/predict/{name}", row)[0] == 200
    assert where == [False, True]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"evil.example")],
        [(b"host", b"localhost"), (b"origin", b"https://evil.example")],
    ],
)
def test_foreign_pages_reach_no_route(asgi, headers):
    for method, path in (("POST", "/predict/fraud"), ("OPTIONS", "/v2"), ("GET", "/nowhere")):
        assert asgi.request(method, path, b"{}", headers)[0] == 403


@pytest.fixture
def own(tmp_path, monkeypatch):
    """An app of its own that looks at its pointer often."""
    from workbench.core.paths import Paths
    from workbench.serving import app

    monkeypatch.setattr(app, "POLL_S", 0.01)
    paths = Paths(tmp_path, tmp_path / ".workbench")
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "one"), number=1)
    served = Asgi(paths)
    yield served
    if not served.life.done():
        served.close()


def until(asgi: Asgi, holds) -> dict:
    said: dict = {}
    for _ in range(1000):
        _, said, _ = asgi.request("GET", "/v2/health/ready")
        if holds(said):
            return said
        asgi.loop.run_until_complete(asyncio.sleep(0.01))
    raise AssertionError(said)


@pytest.mark.parametrize("trouble", [MemoryError("none left"), RecursionError("too deep")])
def test_no_trouble_ends_the_watch_over_the_pointer(own, monkeypatch, trouble, caplog):
    from workbench.serving import app

    def fails(*_):
        raise trouble

    with monkeypatch.context() as patch:
        patch.setattr(app, "load_models", fails)
        own.app.paths.pointer.touch()
        said = until(own, lambda said: said["problems"])
        assert "cannot be watched" in said["problems"]["serving.json"]
        assert own.post("/predict/fraud", {"amount": 1})[1]["release"] == 1
    until(own, lambda said: not said["problems"])
    assert sum("cannot be watched" in record.message for record in caplog.records) == 1
    target = bundles.fraud(own.app.paths.root / "two", weight=1.0)
    bundles.release(own.app.paths, "fraud", target, number=2)
    until(own, lambda said: said["models"]["fraud"]["release"] == 2)


def test_a_pointer_that_links_to_itself_is_a_problem_until_it_is_mended(own):
    pointer = own.app.paths.pointer
    whole = pointer.read_bytes()
    pointer.unlink()
    pointer.symlink_to(pointer.name)
    said = until(own, lambda said: said["problems"])
    assert "serving.json" in said["problems"]
    assert own.post("/predict/fraud", {"amount": 1})[0] == 200
    pointer.unlink()
    pointer.write_bytes(whole)
    until(own, lambda said: not said["problems"])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("signature.json", "{"),
        ("signature.json", "\xff"),
        ("signature.json", "[" * 100_000),
        ("checksums.json", "[]"),
        ("checksums.json", "["),
        ("lookups/films.json", '{"a": 1}'),
        ("lookups/films.json", "["),
    ],
)
def test_a_bundle_with_broken_files_is_a_problem_and_the_others_are_watched(own, file, content):
    paths = own.app.paths
    folder = bundles.shop(paths.root / "shop")
    (folder / file).write_bytes(content.encode("latin-1"))
    if file != "checksums.json":
        seal(folder)
        bundles.release(paths, "shop", folder)
    else:
        _release_as_it_is(paths, folder)
    said = until(own, lambda said: "shop" in said["problems"])
    assert file.split("/")[-1] in said["problems"]["shop"]
    bundles.release(paths, "fraud", bundles.fraud(paths.root / "two", weight=1.0), number=2)
    until(own, lambda said: said["models"]["fraud"]["release"] == 2)


def _release_as_it_is(paths, folder) -> None:
    digest = digest_file(folder / "checksums.json")
    shutil.copytree(folder, paths.bundles / digest)
    pipelines = dict(read_pointer(paths.pointer).pipelines)
    pipelines["shop"] = {"champion": Target(digest, 1, "run-1")}
    write_pointer(paths.pointer, Pointer(pipelines=pipelines))


def test_whatever_ends_the_watch_passports_are_written_at_the_stop(own, monkeypatch):
    ids = [own.post("/predict/fraud", {"amount": 1})[1]["id"] for _ in range(20)]

    class End(BaseException):
        pass

    asked = asyncio.Event()

    def ends(*_):
        asked.set()
        raise End

    monkeypatch.setattr(own.app, "_is_changed", ends)
    own.loop.run_until_complete(asked.wait())
    own.stop.set()
    with pytest.raises(End):
        own.loop.run_until_complete(own.life)
    own.loop.close()
    assert [find_passport(own.app.paths, id).id for id in ids] == ids
