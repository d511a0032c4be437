"""A bundle is what its checksums say, all of it and nothing besides."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving import bundles
from workbench.core.errors import BundleError
from workbench.serving.session import Bundle, released_folder
from workbench.storage.bundle import seal, verify


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundles.shop(tmp_path / "bundle")


def test_a_file_named_like_the_checksums_deeper_down_is_summed_too(folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / "files" / "checksums.json").write_text("{}")
    with pytest.raises(BundleError, match=r"files/checksums\.json .* was altered or added"):
        verify(folder)


def test_a_link_to_a_folder_is_refused_because_its_files_are_not_summed(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "films.json").write_text('["Zorro"]')
    (folder / "files").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"files .* is a link to another folder"):
        verify(folder)
    with pytest.raises(BundleError, match="link"):
        seal(folder)


def test_a_file_that_dvc_linked_from_its_cache_counts_as_the_file(
    folder: Path, tmp_path: Path
) -> None:
    digest = verify(folder)
    (folder / "model.onnx").rename(tmp_path / "cached")
    (folder / "model.onnx").symlink_to(tmp_path / "cached")
    assert verify(folder) == digest


def test_a_release_holds_no_link_at_all(folder: Path, tmp_path: Path) -> None:
    digest = verify(folder)
    released = tmp_path / "bundles" / digest
    released.parent.mkdir()
    folder.rename(released)
    assert released_folder(tmp_path / "bundles", digest) == released
    (released / "model.onnx").rename(tmp_path / "outside")
    (released / "model.onnx").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match=r"model\.onnx is a link"):
        released_folder(tmp_path / "bundles", digest)


@pytest.mark.parametrize("content", ["[]", "{", "3", '{"sha256": []}', "[" * 100_000, "\xff"])
def test_checksums_that_are_none_are_said_in_a_sentence(folder: Path, content: str) -> None:
    (folder / "checksums.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(BundleError, match=r"checksums\.json .* cannot be read"):
        verify(folder)


@pytest.mark.parametrize("content", ['{"a": 1}', "3", "null", "[", "\xff"])
def test_a_look_up_table_of_a_wrong_kind_is_found_when_the_bundle_is_opened(
    folder: Path, content: str
) -> None:
    (folder / "lookups" / "films.json").write_bytes(content.encode("latin-1"))
    seal(folder)
    with pytest.raises(BundleError, match=r"films\.json .* cannot be read"):
        Bundle(folder)
