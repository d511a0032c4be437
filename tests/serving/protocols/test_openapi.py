"""The description of a server is valid, its examples are answered, and a fuzzer believes it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from jsonschema import Draft202012Validator
from schemathesis import checks as judged
from schemathesis.config import SchemathesisConfig

from tests.serving.protocols.conftest import NAMES


@pytest.fixture(scope="module")
def document(server) -> dict[str, Any]:
    return server.client.get("/openapi.json").json()


def operations(document) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_pipeline_stands_in_it_under_every_protocol(document):
    for name in NAMES:
        assert {
            f"/predict/{name}",
            f"/v2/models/{name}",
            f"/v2/models/{name}/infer",
            f"/invocations/{name}",
        } <= set(document["paths"])
    chat = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]
    schema = chat["application/json"]["schema"]
    assert schema["properties"]["model"] == {"enum": ["talk"]}
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)


def test_fields_say_what_training_saw(document):
    body = document["paths"]["/predict/fraud"]["post"]["requestBody"]["content"]
    row = body["application/json"]["schema"]["anyOf"][0]
    assert "In training: 0 to 1000." in row["properties"]["amount"]["description"]
    assert "In training: de, fr." in row["properties"]["country"]["description"]
    assert body["application/json"]["example"]["amount"] == 20.5


def outcome(server) -> dict:
    said = server.client.post("/predict/fraud", json={"amount": 1}).json()
    return {"id": said["id"], "outcome": True}


def test_every_example_fits_its_schema_and_is_answered(server, document):
    asked = 0
    for path, method, operation in operations(document):
        if "requestBody" not in operation:
            continue
        body = operation["requestBody"]["content"]["application/json"]
        # Of an outcome there is no example that holds everywhere: it names an answer.
        example = outcome(server) if path == "/feedback" else body["example"]
        Draft202012Validator(body["schema"]).validate(example)
        reply = server.client.request(method, path, json=example)
        assert reply.status_code == 200, (path, reply.text)
        asked += 1
    assert asked >= 3 * len(NAMES)


@pytest.fixture(scope="module")
def schema(url):
    """Nothing is written down by schemathesis, and it speaks to loopback only."""
    return schemathesis.openapi.from_url(f"{url}/openapi.json", config=SchemathesisConfig())


CHECKS = [
    judged.not_a_server_error,
    judged.content_type_conformance,
    judged.response_schema_conformance,
    judged.status_code_conformance,
]


def test_the_fuzzer_takes_it_as_valid_openapi_3_1(schema, document):
    assert document["openapi"] == "3.1.0"
    schema.validate()


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("path", ["/predict", "/v2", "/invocations", "/v1"])
def test_no_request_that_a_fuzzer_makes_fails_the_server(schema, path, mode):
    asked = 0
    for result in schema.include(path_regex=f"^{path}").get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
        def ask(case):
            nonlocal asked
            case.call_and_validate(checks=CHECKS, timeout=20)
            asked += 1

        with contextlib.suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
            ask()
    assert asked
