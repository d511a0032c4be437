"""MLflow's clients, and what they send, against the running server."""

from __future__ import annotations

import json
import math
import os
import warnings
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving import bundles
from tests.serving.conftest import Server

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own type hints trip over each other
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient
    from mlflow.utils.proto_json_utils import dump_input_data

ROWS = pd.DataFrame({"amount": [100.0, np.nan], "country": ["fr", None]})
RECORDS = [{"amount": 100, "country": "fr"}, {"amount": None}]
FORMS = {
    "dataframe_split": {
        "columns": ["amount", "country"],
        "data": [[100, "fr"], [None, None]],
        "index": [7, 8],
    },
    "dataframe_records": RECORDS,
    "instances": RECORDS,
    "inputs": {"amount": [[100], [None]], "country": ["fr", None]},
}
EXPECTED = [1 / (1 + math.exp(-(1 + 2 - 1))), 1 / (1 + math.exp(1))]


@pytest.fixture
def mlflow_client(url):
    return ScoringServerClient(urlsplit(url).hostname, urlsplit(url).port)


def asked(url: str, content, path: str = "/invocations/fraud", **headers: str):
    headers = {"content-type": "application/json", **headers}
    body = content if isinstance(content, bytes) else json.dumps(content)
    return requests.post(url + path, data=body, headers=headers, timeout=20)


def test_mlflows_own_client_gets_a_data_frame_back(mlflow_client):
    mlflow_client.ping()
    mlflow_client.wait_server_ready(timeout=5)
    assert mlflow_client.get_version()
    answer = mlflow_client.invoke(ROWS, params={"pipeline": "fraud"})
    frame = answer.get_predictions()
    assert frame["score"].tolist() == pytest.approx(EXPECTED)
    assert frame["decision"].tolist() == [True, False]
    assert answer["notice"].startswith("A machine decided")


@pytest.mark.parametrize("form", FORMS)
def test_each_of_its_four_forms_gets_the_same_answer(url, form):
    reply = asked(url, {form: FORMS[form]})
    assert reply.status_code == 200, reply.text
    assert [row["score"] for row in reply.json()["predictions"]] == pytest.approx(EXPECTED)
    assert reply.headers["x-prediction-id"] == reply.json()["id"]


def test_values_without_names_are_taken_only_where_there_is_one_input(url):
    texts = dump_input_data(np.array(["hello world", "hello"]))
    reply = asked(url, texts.encode(), "/invocations/ask")
    assert [row["value"] for row in reply.json()["predictions"]] == [5, 2]
    reply = asked(url, dump_input_data(np.array([[1.0, 2.0, 3.0]])).encode())
    assert (reply.status_code, "name them" in reply.json()["message"]) == (400, True)


def test_nan_is_a_missing_number_and_a_word_of_that_name_is_a_word(url):
    reply = asked(url, b'{"dataframe_records": [{"amount": NaN, "country": "NaN \\" NaN"}]}')
    (row,) = reply.json()["predictions"]
    assert row["score"] == pytest.approx(EXPECTED[1])
    (warning,) = reply.json()["warnings"]
    assert 'NaN " NaN' in warning
    assert asked(url, b'{"instances": [{"amount": Infinity}]}').status_code == 400


def test_one_pipeline_needs_no_name(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "fraud"))
    server: Server = serve(paths)
    server.until_loaded()
    reply = server.client.post("/invocations", json={"instances": RECORDS})
    assert [row["decision"] for row in reply.json()["predictions"]] == [True, False]


def test_of_several_pipelines_one_must_be_named(url):
    reply = asked(url, {"instances": RECORDS}, "/invocations")
    assert reply.status_code == 404
    assert reply.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert "/invocations/NAME" in reply.json()["message"]
    assert "fraud" in reply.json()["message"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ([], "object"),
        ({}, "exactly one"),
        ({"instances": [], "inputs": []}, "exactly one"),
        ({"dataframe_split": {"columns": ["amount"], "data": [[1, 2]]}}, "data[0]"),
        ({"dataframe_split": {"columns": ["amount", "amount"], "data": [[1, 2]]}}, "twice"),
        ({"dataframe_split": {"data": [[1]]}}, "columns"),
        ({"dataframe_split": {"columns": ["amount"], "data": 3}}, "a number"),
        ({"dataframe_records": {"amount": 1}}, "list of rows"),
        ({"dataframe_records": [{"amont": 1}]}, "Did you mean 'amount'"),
        ({"dataframe_records": [{"amount": "much"}]}, "a number or null"),
        ({"inputs": {"amount": [1, 2], "country": ["de"]}}, "one length"),
        ({"inputs": {"amount": []}}, "one length"),
        ({"inputs": {"amount": [1], "country": "de"}}, "'country'"),
        ({"inputs": [[1, 2]], "params": {"pipeline": "shop"}}, "params.pipeline"),
        ({"inputs": [[1, 2]], "params": {"threshold": 1}}, "nothing else"),
    ],
)
def test_what_does_not_fit_is_named(url, content, word):
    reply = asked(url, content)
    assert (reply.status_code, reply.json()["error_code"]) == (400, "BAD_REQUEST"), reply.text
    assert word in reply.json()["message"]


def test_other_media_are_refused_by_name(url):
    reply = requests.post(
        f"{url}/invocations/fraud",
        data="amount\n1",
        headers={"content-type": "text/csv"},
        timeout=9,
    )
    assert (reply.status_code, "text/csv" in reply.json()["message"]) == (415, True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["amount", "country", "columns", "data", "index", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from([*FORMS, "params"]), VALUES, max_size=2))
def test_no_rows_however_odd_make_the_server_fail(asgi, content):
    status, _, _ = asgi.post("/invocations/fraud", content)
    assert status in (200, 400, 413)
