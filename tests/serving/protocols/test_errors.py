"""Refusals in the words and the shape of each protocol."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/predict/froud", ["error"]),
        ("/v2/models/froud/infer", ["error"]),
        ("/invocations/froud", ["message"]),
        ("/v1/embeddings", ["error", "message"]),
    ],
)
def test_an_unknown_model_is_said_where_a_client_looks_for_it(asgi, path, where):
    status, said, _ = asgi.post(path, {"model": "froud", "input": "x", "inputs": []})
    assert status == 404
    for step in where:
        said = said[step]
    assert said.startswith("No model 'froud'. Did you mean 'fraud'?")


@pytest.mark.parametrize(
    "path",
    ["/invocations", "/v1/models", "/v1/chat/completions", "/try/fraud", "/openapi.json", "/ping"],
)
def test_another_method_is_refused_with_the_one_that_is_taken(asgi, path):
    status, _, headers = asgi.request("PATCH", path)
    assert status == 405
    assert headers[b"allow"] in (b"GET", b"POST")


@pytest.mark.parametrize("depth", [20, 200, 900, 100_000])
@pytest.mark.parametrize("path", ["/v2/models/fraud/infer", "/predict/fraud", "/invocations/fraud"])
def test_values_nested_to_any_depth_are_refused_in_words(asgi, path, depth):
    nested = b"[" * depth + b"1" + b"]" * depth
    for content in (
        b'{"amount": %s}' % nested,
        b'{"instances": [{"amount": %s}]}' % nested,
        b'{"inputs": [{"name": "amount", "shape": [1], "datatype": "FP32", "data": %s}]}' % nested,
    ):
        status, said, _ = asgi.post(path, content)
        assert (status, len(said.get("error", said.get("message", ""))) > 10) == (400, True)
