"""Models are listed, unloaded and loaded by NVIDIA's client."""

from __future__ import annotations

import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.serving import bundles


@pytest.fixture
def served(paths, serve, tmp_path):
    """A server of two pipelines, and a client of it."""
    for name in ("fraud", "shop"):
        bundles.release(paths, name, getattr(bundles, name)(tmp_path / name))
    server = serve(paths)
    server.until_loaded()
    with triton.InferenceServerClient(server.client.base_url.netloc.decode()) as client:
        yield server, client


def states(client) -> dict[str, tuple[str, str]]:
    index = client.get_model_repository_index()
    return {one["name"]: (one["state"], one["version"]) for one in index}


def test_an_unloaded_model_is_forgotten_until_it_is_loaded(served, paths, tmp_path):
    server, client = served
    assert states(client) == {"fraud": ("READY", "1"), "shop": ("READY", "1")}
    client.unload_model("fraud")
    assert not client.is_model_ready("fraud")
    assert states(client) == {"fraud": ("UNAVAILABLE", ""), "shop": ("READY", "1")}
    said = server.client.post("/predict/fraud", json={"amount": 1})
    assert (said.status_code, "was unloaded" in said.json()["error"]) == (503, True)
    assert server.client.get("/v2/health/ready").status_code == 200, "nobody misses it"

    bundles.release(paths, "shop", tmp_path / "shop", number=2)
    server.until(lambda said: said["models"]["shop"]["release"] == 2)
    assert states(client)["fraud"] == ("UNAVAILABLE", ""), "a pointer that moves loads nothing"
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "better", weight=0.02), number=5)
    client.load_model("fraud")
    assert states(client)["fraud"] == ("READY", "5"), "it comes back as what is released by now"
    assert server.client.post("/predict/fraud", json={"amount": 1}).status_code == 200


def test_another_process_of_the_checkout_forgets_it_too(served, serve, paths):
    _, client = served
    other = serve(paths)
    other.until_loaded()
    client.unload_model("shop")
    other.until(lambda said: "shop" in said["problems"])
    assert other.client.post("/predict/shop", json={"seen": []}).status_code == 503
    client.load_model("shop")
    other.until(lambda said: "shop" in said["models"])
    assert other.client.post("/predict/shop", json={"seen": []}).status_code == 200


def test_only_what_is_ready_is_listed_for_who_asks_so(served):
    server, client = served
    client.unload_model("shop")
    index = server.client.post("/v2/repository/index", json={"ready": True}).json()
    assert [one["name"] for one in index] == ["fraud"]
    assert server.client.post("/v2/repository/index", content=b"[]").status_code == 400


def test_a_model_that_is_not_released_or_broken_is_not_loaded(served, paths, tmp_path):
    _, client = served
    with pytest.raises(InferenceServerException, match=r"'froud' is not released. Did you mean"):
        client.load_model("froud")
    with pytest.raises(InferenceServerException, match="not released"):
        client.unload_model("..%2F..%2Fserving.json")
    client.unload_model("fraud")
    target = bundles.release(paths, "fraud", bundles.fraud(tmp_path / "next", weight=9.0), number=2)
    (paths.bundles / target.digest / "model.onnx").write_bytes(b"altered")
    with pytest.raises(InferenceServerException, match=r"'fraud' cannot be served: model.onnx"):
        client.load_model("fraud")
