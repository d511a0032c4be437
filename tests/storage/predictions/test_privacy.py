from __future__ import annotations

import numpy as np
import pytest

from tests.storage.predictions.conftest import logged, passport
from workbench.core.deploy import Log
from workbench.storage.predictions import privacy
from workbench.storage.predictions.compaction import compact
from workbench.storage.predictions.privacy import KEY, Privacy, hash_of, is_sampled
from workbench.storage.predictions.reading import find_passport, scan

SECRET = "4111-1111-1111-1111"


def everything(paths) -> bytes:
    return b"".join(f.read_bytes() for f in paths.home.rglob("*") if f.is_file())


def test_private_values_are_nowhere_in_clear(paths, opened):
    log = opened(lambda _: Log(private=("card",)))
    (one,) = logged(
        log,
        inputs={"card": [SECRET], "amount": [1.5]},
        warnings=(f"card has '{SECRET}', which training never saw", "amount is high"),
    )
    found = find_passport(paths, one.id)
    assert found.private == ("card",)
    assert found.inputs["card"][0].startswith("private:")
    assert found.inputs["amount"] == [1.5]
    assert found.warnings == ("'card' is beyond what training saw", "amount is high")
    assert SECRET.encode() not in everything(paths)
    log.close()
    assert compact(paths.predictions, now_s=one.time_s + 1e6) == 1
    assert find_passport(paths, one.id) == found
    assert SECRET.encode() not in everything(paths)


def test_equal_private_values_have_equal_hashes_across_processes_and_files(paths, opened):
    def settings(_):
        return Log(private=("card",))

    (one,) = logged(opened(settings), inputs={"card": [SECRET, "other", None]})
    (two,) = logged(opened(settings), inputs={"card": [SECRET, SECRET]})
    first, second = (find_passport(paths, p.id).inputs["card"] for p in (one, two))
    assert first[0] == second[0] == second[1]
    assert len({*first}) == 3


def test_another_checkout_has_other_hashes():
    assert hash_of(b"a" * 32, SECRET) != hash_of(b"b" * 32, SECRET)


def test_one_number_has_one_hash_however_it_is_written():
    key = b"k" * 32
    assert hash_of(key, 1) == hash_of(key, 1.0)
    assert hash_of(key, 1) != hash_of(key, 1.5)
    assert hash_of(key, True) != hash_of(key, 1)
    assert hash_of(key, 2**60) != hash_of(key, 2**60 + 1)


def test_private_arrays_are_hashed_by_row(paths, opened):
    log = opened(lambda _: Log(private=("frame",)))
    (one,) = logged(log, inputs={"frame": np.zeros((2, 3), np.uint8)})
    hashes = find_passport(paths, one.id).inputs["frame"]
    assert len(hashes) == 2
    assert hashes[0] == hashes[1]


def test_all_processes_take_the_key_of_the_first(paths, log):
    one, two = Privacy(paths.predictions), Privacy(paths.predictions)
    settings, given = Log(private=("country",)), passport(log)
    kept = one.kept(given, settings)
    assert two.kept(given, settings) == kept
    assert len((paths.predictions / KEY).read_bytes()) == 32
    assert [f.name for f in paths.predictions.iterdir()] == [KEY]


def test_a_key_that_cannot_be_kept_leaves_nothing_in_clear(paths, log, caplog):
    paths.home.mkdir()
    paths.predictions.write_text("a file where the folder belongs")
    kept = Privacy(paths.predictions).kept(passport(log), Log(private=("country",)))
    assert kept.inputs["country"][0].startswith("private:")
    assert "cannot be matched" in caplog.text
    paths.predictions.unlink()


def test_a_key_is_whole_before_anybody_reads_it(paths, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(privacy.os, "link", killed)
    with pytest.raises(KeyboardInterrupt):
        privacy._key(paths.predictions)
    assert list(paths.predictions.iterdir()) == []


def test_a_sampled_out_answer_keeps_its_passport_but_no_values(paths, opened):
    log = opened(lambda _: Log(fraction=0.0))
    (one,) = logged(log)
    found = find_passport(paths, one.id)
    assert (found.logged, found.inputs, found.outputs, found.row_count) == (
        "sampled out",
        {},
        {},
        2,
    )
    assert found.digest == one.digest


def test_the_sample_has_the_size_that_was_asked_for_and_is_the_same_again(paths, opened):
    log = opened(lambda _: Log(fraction=0.3))
    many = logged(log, 2000)
    full = {one.id for one in scan(paths, "fraud") if one.logged == "full"}
    assert 480 < len(full) < 720  # six standard deviations
    assert full == {one.id for one in many if is_sampled(one.id, 0.3)}
    assert full < {one.id for one in many if is_sampled(one.id, 0.6)}


def test_settings_hold_for_their_own_pipeline_only(paths, opened):
    log = opened(lambda name: Log(fraction=0.0) if name == "shop" else Log())
    (shop,) = logged(log, pipeline="shop")
    (fraud,) = logged(log, pipeline="fraud")
    assert find_passport(paths, shop.id).logged == "sampled out"
    assert find_passport(paths, fraud.id) == fraud
