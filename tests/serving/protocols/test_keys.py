"""Whoever has a key sees and asks its pipelines, whatever the protocol."""

from __future__ import annotations

import pytest

import workbench as wb
from tests.serving import bundles
from workbench.core.errors import StateError
from workbench.serving.door.keys import add_key


def test_a_key_for_one_pipeline_asks_that_one_and_administers_nothing(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "fraud"))
    bundles.release(paths, "shop", bundles.shop(tmp_path / "shop"))
    _, asker = add_key(paths, "someone", pipelines=["fraud"], roles=["ask"])
    server = serve(paths)
    server.until(lambda said: said["ready"])
    with wb.client(str(server.client.base_url), asker) as client:
        assert [one.pipeline for one in client.models()] == ["fraud"]
        assert client.predict("fraud", {"amount": 1}).release == 1
        with pytest.raises(StateError, match="may not ask 'shop'"):
            client.predict("shop", {"seen": []})
    headers = {"authorization": f"Bearer {asker}"}
    reply = server.client.post("/v2/repository/models/fraud/unload", headers=headers)
    assert reply.status_code == 403
    described = server.client.get("/openapi.json", headers=headers).json()["paths"]
    assert "/predict/fraud" in described
    assert "/predict/shop" not in described
