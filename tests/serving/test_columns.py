from __future__ import annotations

import base64
import datetime as dt
import io

import numpy as np
import pytest
from PIL import Image

from workbench.core.errors import DataError
from workbench.core.records import Column
from workbench.serving.columns import array_of, columns_of, numbers_of

KNOWN = {"amount": Column("amount", "number"), "paid_at": Column("paid_at", "time")}
FRAME = Column("frame", "image", shape=(2, 2, 3))


def of(role, values, **more):
    return array_of(Column("x", role, **more), values, len(values), lambda: None)


def test_missing_values_are_what_training_saw_as_missing():
    assert np.isnan(of("number", [None, float("nan")])).all()
    assert of("word", [None, ""]).tolist() == ["", ""]
    assert of("time", [None]).tolist() == [0]
    assert of("list", [None, ["a", None, ""]], shape=(-1,)).tolist() == [[""], ["a"]]


def test_a_field_that_one_row_lacks_is_missing_there():
    columns = columns_of([{"amount": 1}, {"paid_at": 5}], KNOWN)
    assert columns == {"amount": [1, None], "paid_at": [None, 5]}


def test_a_time_is_the_same_moment_however_it_is_written():
    moment = dt.datetime(2026, 5, 9, 8, 30, 37, tzinfo=dt.UTC)
    written = [moment, moment.timestamp(), "2026-05-09T08:30:37", "2026-05-09T10:30:37+02:00"]
    assert set(of("time", written).tolist()) == {int(moment.timestamp())}
    assert of("time", np.array(["2026-05-09T08:30:37"], "datetime64[us]")).tolist() == [
        int(moment.timestamp())
    ]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 2**63, "soon", True, [], "0001"])
def test_what_is_no_time_is_refused_by_name(value):
    with pytest.raises(DataError, match=r"Input 'x' must be an ISO 8601 time.*rows\[0\]"):
        of("time", [value])


@pytest.mark.parametrize("value", ["1", True, 1e39, 10**400, float("inf"), [1], {}])
def test_what_is_no_number_of_32_bits_is_refused_by_name(value):
    with pytest.raises(DataError, match=r"Input 'x' must be a number or null.*rows\[1\]"):
        of("number", [1, value])


def test_arrays_and_numpy_scalars_are_taken_as_they_are():
    assert of("number", np.array([1, 2])).dtype == np.float32
    assert of("number", [np.float64(1.5), np.int64(2)]).tolist() == [1.5, 2.0]
    assert of("word", np.array(["a", None], dtype=object)).tolist() == ["a", ""]


def test_a_list_is_as_wide_as_the_graph_takes_it():
    assert of("list", [["a"], ["b", "c"]], shape=(3,)).tolist() == [["a", "", ""], ["b", "c", ""]]
    with pytest.raises(DataError, match="list of 4 words"):
        of("list", [["a", "b", "c", "d"]], shape=(3,))


def test_an_image_file_in_json_is_the_same_as_its_pixels():
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode()
    for values in ([text], [file.getvalue()], [pixels], [pixels.tolist()]):
        assert np.array_equal(array_of(FRAME, values, 1, lambda: None), pixels[None])


def test_no_broken_image_file_is_more_than_a_wrong_value():
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    whole = file.getvalue()
    refusals = []
    for at in range(0, len(whole), 3):
        broken = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        for content in (broken, whole[:at]):
            try:
                array_of(FRAME, [base64.b64encode(content).decode()], 1, lambda: None)
            except DataError as error:
                refusals.append(error.problem)
    assert refusals
    assert all("'frame'" in problem for problem in refusals)


def test_many_number_columns_at_once_are_as_one_by_one():
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(6)]
    columns = {name: rng.normal(size=4).tolist() for name in names}
    columns["n2"] = [1, None, 2**70, -0.0]
    columns["n3"] = [float("nan"), 3.4e38, -3.4e38, 1e-46]
    together = numbers_of(names, columns)
    assert together.keys() == columns.keys()
    for name in names:
        alone = array_of(Column(name, "number"), columns[name], 4, lambda: None)
        np.testing.assert_array_equal(together[name], alone)
        assert together[name].dtype == alone.dtype


@pytest.mark.parametrize(
    "bad", [["1"], [True], [1e39], [float("inf")], [10**400], [[1.0]], [1.0, 2.0], np.ones(1)]
)
def test_what_does_not_fit_is_left_to_be_named(bad):
    assert numbers_of(["a", "b"], {"a": [1.0], "b": bad}) == {}
