"""What DVC's files say is checked where it becomes a path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.core.errors import StateError
from workbench.execution.dvcfiles import Cache, locked, read_yaml

MD5 = "0123456789abcdef" * 2


def entry(md5: object) -> dict[str, list[dict[str, object]]]:
    return {"outs": [{"path": "data/small", "md5": md5}]}


def test_hashes_of_files_and_folders_are_taken_and_missing_ones_are_empty() -> None:
    assert locked(entry(MD5), "outs") == {"data/small": MD5}
    assert locked(entry(f"{MD5}.dir"), "outs") == {"data/small": f"{MD5}.dir"}
    assert locked({"outs": [{"path": "data/small"}]}, "outs") == {"data/small": ""}


@pytest.mark.parametrize("md5", ["../../../etc/passwd", MD5[1:], f"{MD5}.dir/..", f"{MD5}\n", 7])
def test_a_hash_that_is_none_is_said_in_a_sentence(md5: object) -> None:
    with pytest.raises(StateError, match=r"hash of data/small that is none"):
        locked(entry(md5), "outs")


def test_a_hash_that_is_none_in_the_list_of_a_folder_is_said_too(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    listed = cache.object(f"{MD5}.dir")
    listed.parent.mkdir(parents=True)
    listed.write_text(json.dumps([{"md5": "../../secret", "relpath": "a"}]))
    with pytest.raises(StateError, match="list of data/small has a hash that is none"):
        cache.files({"data/small": f"{MD5}.dir"})


def test_yaml_nested_without_end_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text("[" * 5_000)
    with pytest.raises(StateError, match=r"dvc\.lock"):
        read_yaml(tmp_path / "dvc.lock")
