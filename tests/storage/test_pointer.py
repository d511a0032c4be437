from __future__ import annotations

import pytest

from workbench.core.errors import StateError
from workbench.core.files import read_json, write_json
from workbench.core.records import VERSION, Commit
from workbench.storage.origin import Origin, read_origin, write_origin
from workbench.storage.pointer import Pointer, Target, Traffic, read_pointer, write_pointer

POINTER = Pointer(pipelines={"fraud": {"champion": Target("d" * 64, 3, "run-3")}})


def test_a_pointer_reads_as_it_was_written(tmp_path):
    write_pointer(tmp_path / "serving.json", POINTER)
    assert read_pointer(tmp_path / "serving.json") == POINTER
    assert read_json(tmp_path / "serving.json") == {
        "version": 1,
        "pipelines": {"fraud": {"champion": {"digest": "d" * 64, "release": 3, "run_id": "run-3"}}},
        "traffic": {},
    }


def test_a_pointer_says_how_requests_reach_a_challenger(tmp_path):
    traffic = Traffic("canary", 0.1, "customer_id")
    pointer = Pointer(
        pipelines={
            "fraud": {"champion": Target("d" * 64, 3, "r"), "challenger": Target("e" * 64, 4, "s")}
        },
        traffic={"fraud": traffic},
    )
    write_pointer(tmp_path / "serving.json", pointer)
    assert read_pointer(tmp_path / "serving.json") == pointer


def test_a_pointer_from_before_there_were_challengers_is_read(tmp_path):
    target = {"digest": "d" * 64, "release": 3, "run_id": "run-3"}
    old = {"version": 1, "pipelines": {"fraud": {"champion": target}}}
    write_json(tmp_path / "serving.json", old)
    assert read_pointer(tmp_path / "serving.json") == POINTER


@pytest.mark.parametrize(
    "traffic",
    [{"mode": "canary", "weight": 1.5}, {"mode": "canary", "weight": -0.1}, {"mode": "all"}],
)
def test_traffic_that_cannot_be_is_damage(tmp_path, traffic):
    write_json(tmp_path / "serving.json", {"pipelines": {}, "traffic": {"fraud": traffic}})
    with pytest.raises(StateError, match="cannot be read"):
        read_pointer(tmp_path / "serving.json")


def test_without_a_pointer_nothing_is_released(tmp_path):
    assert read_pointer(tmp_path / "serving.json") == Pointer()


@pytest.mark.parametrize(
    "content", ['{"version":1,"pipelines":{"fr', "[]", '{"pipelines":3}', "\xff"]
)
def test_a_damaged_pointer_is_an_error_that_says_what_to_do(tmp_path, content):
    (tmp_path / "serving.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(StateError, match="workbench release"):
        read_pointer(tmp_path / "serving.json")


def test_a_pointer_of_a_later_workbench_is_not_misread(tmp_path):
    write_json(tmp_path / "serving.json", {"version": VERSION + 1, "pipelines": {}})
    with pytest.raises(StateError, match="update the workbench"):
        read_pointer(tmp_path / "serving.json")


def test_an_origin_stands_beside_its_bundle(tmp_path):
    origin = Origin(1, "d" * 64, "fraud", "run-3", Commit("a", "main", False), "n", "f", "p")
    assert read_origin(tmp_path, origin.digest) is None
    write_origin(tmp_path, origin)
    assert read_origin(tmp_path, origin.digest) == origin
    (tmp_path / f"{origin.digest}.json").write_text("{")
    with pytest.raises(StateError, match="cannot be read"):
        read_origin(tmp_path, origin.digest)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("../fraud", "d" * 64),
        ("fraud\n", "d" * 64),
        ("\x1b[31mfraud", "d" * 64),
        ("f" * 101, "d" * 64),
        ("fraud", "../" + "d" * 61),
        ("fraud", "d" * 63),
        ("fraud", "d" * 64 + "\n"),
    ],
)
def test_a_pointer_names_only_what_can_be_a_pipeline_and_a_bundle(tmp_path, name, digest):
    write_pointer(
        tmp_path / "serving.json", Pointer(pipelines={name: {"champion": Target(digest, 3, "r")}})
    )
    with pytest.raises(StateError, match="cannot be read"):
        read_pointer(tmp_path / "serving.json")


def test_a_pointer_nested_without_end_is_said_in_a_sentence(tmp_path):
    (tmp_path / "serving.json").write_text('{"other": ' + "[" * 100_000)
    with pytest.raises(StateError, match="cannot be read"):
        read_pointer(tmp_path / "serving.json")
