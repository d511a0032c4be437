"""A release leaves what its life is compared with."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from tests.tracking.checkout import Checkout, examples
from workbench.core.errors import StateError
from workbench.registry import contender, store
from workbench.registry.reference import reference_of
from workbench.storage.reference import read_reference, reference_path


@pytest.fixture
def trained(checkout: Checkout) -> str:
    """The digest of a candidate whose training side is here."""
    folder = checkout.paths.stage("split", "fraud")
    folder.mkdir(parents=True)
    pq.write_table(examples(1000, 900), folder / "train.parquet")
    return checkout.trained(1.2)


def kept(checkout: Checkout, digest: str):
    store.keep(checkout.paths, contender.candidate(checkout.paths, "fraud"), "fraud", "run")
    return read_reference(checkout.paths.bundles, digest)


def test_a_release_keeps_shares_of_its_inputs_and_answers_and_its_metrics(checkout, trained):
    found = kept(checkout, trained)
    assert found is not None
    assert found.digest == trained
    assert found.columns.keys() == {"amount", "channel", "paid_at"}
    assert {one.rows for one in found.columns.values()} == {900}
    assert {one.tested_rows for one in found.columns.values()} == {600}
    assert set(found.columns["channel"].words) == {"chip", "online"}
    assert sum(found.columns["amount"].trained) == pytest.approx(1)
    assert found.answers["score"].rows == 600
    assert found.metrics["auc"].keys() == {"value", "lo", "hi"}
    assert reference_path(checkout.paths.bundles, trained).stat().st_size < 10_000


def test_no_value_of_a_person_is_in_it_but_frequent_words(checkout, trained):
    kept(checkout, trained)
    text = reference_path(checkout.paths.bundles, trained).read_text()
    assert "p1000" not in text


def test_data_of_another_candidate_is_not_taken_for_its_own(checkout, trained):
    split = checkout.paths.stage("split", "fraud")
    candidate = contender.candidate(checkout.paths, "fraud")
    assert reference_of(candidate) is not None
    pq.write_table(examples(5000, 900), split / "train.parquet")
    assert reference_of(candidate) is None
    (split / "train.parquet").unlink()
    assert reference_of(candidate) is None


def test_a_release_made_before_there_were_references_gets_one_later(checkout, trained):
    assert kept(checkout, trained) is not None
    reference_path(checkout.paths.bundles, trained).unlink()
    assert kept(checkout, trained) is not None


def test_a_damaged_reference_is_named(checkout, trained):
    kept(checkout, trained)
    reference_path(checkout.paths.bundles, trained).write_text('{"digest": 1}')
    with pytest.raises(StateError, match="cannot be read"):
        read_reference(checkout.paths.bundles, trained)
