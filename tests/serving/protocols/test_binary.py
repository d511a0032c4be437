"""Tensors as bytes: NVIDIA's client, and bytes that nobody meant."""

from __future__ import annotations

import json
import math
import struct
import time

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from workbench.core.errors import StateError
from workbench.storage.predictions.reading import find_passport


@pytest.fixture(scope="module")
def client(url):
    with triton.InferenceServerClient(url.removeprefix("http://")) as made:
        yield made


def given_input(name: str, array: np.ndarray, datatype: str, *, binary: bool = True):
    made = triton.InferInput(name, list(array.shape), datatype)
    return made.set_data_from_numpy(array, binary_data=binary)


def words(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


def score(amount: float, code: int) -> float:
    return 1 / (1 + math.exp(-(0.01 * amount + code - 1)))


def test_the_server_says_that_it_speaks_bytes(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("fraud", "3")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("fraud")["versions"] == ["3"]


@pytest.mark.parametrize("rows", [1, 5, 500])
@pytest.mark.parametrize("binary", [True, False])
def test_numbers_and_words_come_back_as_the_same_bytes(client, rows, binary):
    amounts = np.linspace(0, 900, rows, dtype=np.float32)
    inputs = [
        given_input("amount", amounts, "FP32", binary=binary),
        given_input("country", words(*["fr"] * rows), "BYTES", binary=binary),
        given_input("paid_at", np.arange(rows), "INT64", binary=binary),
    ]
    answer = client.infer("fraud", inputs, request_id="mine")
    assert answer.get_response()["id"] == "mine"
    assert answer.get_output("score")["parameters"]["binary_data_size"] == 4 * rows
    assert answer.as_numpy("score") == pytest.approx([score(a, 2) for a in amounts])


def test_an_output_comes_in_the_form_that_was_asked_for(client):
    question = [given_input("question", words("Where is my refund?"), "BYTES")]
    outputs = [
        triton.InferRequestedOutput("passages", binary_data=True),
        triton.InferRequestedOutput("scores", binary_data=False),
    ]
    answer = client.infer("talk", question, outputs=outputs)
    assert answer.get_output("passages")["parameters"] == {"binary_data_size": 16}
    assert answer.as_numpy("passages")[0, 0] == 1
    assert len(answer.get_output("scores")["data"]) == 2
    assert answer.get_output("embedding") is None


def test_an_image_is_answered_from_its_bytes(client):
    pixels = np.arange(2 * 2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 2, 3)
    answer = client.infer("drive", [given_input("frame", pixels, "UINT8")])
    assert answer.as_numpy("value") == pytest.approx(pixels.mean(axis=(1, 2, 3)))


def test_lists_of_words_come_as_a_matrix(client):
    seen = np.array([["Alien", ""], ["Alien", "Casablanca"]], dtype=object)
    answer = client.infer("shop", [given_input("seen", seen, "BYTES")])
    assert answer.as_numpy("items").tolist() == [0, 2]


@pytest.mark.parametrize("rows", [2, 200])
def test_nan_in_bytes_is_a_missing_number(client, rows):
    amounts = np.full(rows, np.nan, np.float32)
    answer = client.infer("fraud", [given_input("amount", amounts, "FP32")])
    assert answer.as_numpy("score") == pytest.approx([score(0, 0)] * rows)


@pytest.mark.parametrize("rows", [2, 200])
def test_an_answer_to_bytes_has_a_passport_of_plain_values(client, released, rows):
    amounts = np.arange(rows, dtype=np.float32)
    answer = client.infer("fraud", [given_input("amount", amounts, "FP32")])
    said = answer.get_response()["parameters"]

    passport = eventually(lambda: find_passport(released, said["id"]))
    assert passport.inputs["amount"] == amounts.tolist()
    assert passport.outputs["score"] == pytest.approx(answer.as_numpy("score").tolist())


def eventually(work):
    for _ in range(100):
        try:
            return work()
        except StateError:
            time.sleep(0.05)
    return work()


def test_a_tensor_of_another_size_is_refused_by_name(client):
    one = triton.InferInput("amount", [2], "FP32")
    one.set_data_from_numpy(np.zeros(2, np.float32))
    one.set_shape([3])
    with pytest.raises(InferenceServerException, match=r"'amount'.*must have 12 bytes.*are 8"):
        client.infer("fraud", [one])


def test_a_number_that_32_bits_cannot_hold_is_refused(client):
    for value in (np.inf, -np.inf, 1e300):
        with pytest.raises(InferenceServerException, match="cannot hold"):
            client.infer("fraud", [given_input("amount", np.array([value]), "FP64")])


def body(head: dict, *parts: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    encoded = json.dumps(head).encode()
    length = (b"inference-header-content-length", b"%d" % len(encoded))
    return b"".join([encoded, *parts]), [length]


def amount(size, shape=(1,), datatype="FP32", **more) -> dict:
    parameters = {"binary_data_size": size}
    inner = {"name": "amount", "shape": list(shape), "datatype": datatype, **more}
    return {"inputs": [{**inner, "parameters": parameters}]}


@pytest.mark.parametrize(
    ("head", "rest", "word"),
    [
        (amount(4), b"", "0 bytes that are left"),
        (amount(-1), b"abcd", "4 bytes that are left"),
        (amount("4"), b"abcd", "4 bytes that are left"),
        (amount(True), b"a", "1 bytes that are left"),
        (amount(4), b"abcdefgh", "4 bytes follow"),
        (amount(4, data=[1.0]), b"abcd", "both"),
        (amount(4, datatype="BYTES"), b"\xff\xff\xff\x7f", "BYTES"),
        (amount(4, datatype="COMPLEX"), b"abcd", "takes datatype"),
        (amount(4, shape=[1, 1, 1]), b"\0\0\0\0", "shape"),
        (amount(4, shape=[-1]), b"\0\0\0\0", "0 bytes"),
        (amount(4, shape=[10**30]), b"\0\0\0\0", "rows in one request"),
        ({"inputs": [{"name": "amount", "shape": [1], "datatype": "FP32"}]}, b"", "neither"),
    ],
)
def test_a_head_that_does_not_fit_its_bytes_is_refused(asgi, head, rest, word):
    content, headers = body(head, rest)
    status, said, _ = asgi.request("POST", "/v2/models/fraud/infer", content, headers)
    assert status in (400, 413)
    assert word in said["error"]


@pytest.mark.parametrize("length", [b"", b"-1", b"9999", b"1e3", b"\xff", b"9" * 5000])
def test_a_length_that_is_none_is_refused(asgi, length):
    headers = [(b"inference-header-content-length", length)]
    status, said, _ = asgi.request("POST", "/v2/models/fraud/infer", b"{}", headers)
    assert (status, "Inference-Header-Content-Length" in said["error"]) == (400, True)


def test_texts_in_bytes_are_utf8_or_refused(asgi):
    one = {"name": "question", "shape": [1], "datatype": "BYTES"}
    for text, status in ((b"hello", 200), (b"\xff\xfe", 400)):
        raw = struct.pack("<I", len(text)) + text
        head = {"inputs": [{**one, "parameters": {"binary_data_size": len(raw)}}]}
        content, headers = body(head, raw)
        assert asgi.request("POST", "/v2/models/ask/infer", content, headers)[0] == status


NAMES = st.sampled_from(["amount", "country", "paid_at", "seen", "frame", "question", "x"])
TENSOR = st.fixed_dictionaries(
    {
        "name": NAMES,
        "shape": st.lists(st.integers(-2, 4), max_size=4),
        "datatype": st.sampled_from(
            ["FP32", "FP64", "INT64", "INT32", "UINT8", "BOOL", "BYTES", "FP16", ""]
        ),
    },
    optional={
        "parameters": st.dictionaries(
            st.just("binary_data_size"), st.integers(-1, 40) | st.none() | st.text(max_size=2)
        ),
        "data": st.lists(st.integers() | st.floats() | st.none() | st.text(max_size=2), max_size=3),
    },
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["fraud", "shop", "drive", "ask", "talk"]),
    st.lists(TENSOR, max_size=3),
    st.binary(max_size=64),
)
def test_no_tensors_however_odd_make_the_server_fail(asgi, name, inputs, rest):
    content, headers = body({"inputs": inputs}, rest)
    assert asgi.request("POST", f"/v2/models/{name}/infer", content, headers)[0] in (200, 400, 413)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["FP32", "FP64", "INT64", "INT32", "UINT8", "BOOL"]), st.binary(max_size=80))
def test_any_bits_are_a_number_or_are_refused(asgi, datatype, raw):
    size = {"FP32": 4, "FP64": 8, "INT64": 8, "INT32": 4, "UINT8": 1, "BOOL": 1}[datatype]
    raw = raw[: len(raw) // size * size]
    content, headers = body(amount(len(raw), shape=[len(raw) // size], datatype=datatype), raw)
    status, said, _ = asgi.request("POST", "/v2/models/fraud/infer", content, headers)
    assert status == 200 or (status == 400 and said["error"])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=120), st.integers(0, 130))
def test_no_bytes_at_all_make_the_server_fail(asgi, raw, length):
    headers = [(b"inference-header-content-length", b"%d" % length)]
    assert asgi.request("POST", "/v2/models/fraud/infer", raw, headers)[0] == 400
