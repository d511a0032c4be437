"""Keys on file: only hashes, whole or not at all, for their owner alone."""

from __future__ import annotations

import json
import stat
import threading

import pytest

from workbench.core.errors import DataError, StateError
from workbench.serving.door.keys import (
    LENGTH,
    Allowance,
    add_key,
    has_usable_key,
    hash_key,
    read_keys,
    revoke_key,
    role_of,
)

OFTEN = 1e12  # seconds: far in the future


def test_a_key_has_the_promised_form_and_only_its_hash_is_on_file(paths):
    made, secret = add_key(paths, "phone", pipelines=["fraud"], roles=["ask", "feedback"])
    assert secret.startswith(f"wb_{made.id}_")
    assert len(secret) == LENGTH
    text = paths.keys.read_text()
    assert secret.split("_")[2] not in text
    keys = read_keys(paths.keys)
    assert keys is not None
    assert keys.keys == (made,)
    assert hash_key(bytes.fromhex(keys.salt), secret.encode()).hex() == made.hash


def test_all_that_the_door_writes_is_for_its_owner_alone(paths):
    add_key(paths, "phone")
    for path in (paths.keys, paths.audit):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.home.stat().st_mode) == 0o700


def test_two_checkouts_hash_one_key_differently(paths, tmp_path):
    _, secret = add_key(paths, "phone")
    salts = [b"a" * 32, b"b" * 32]
    assert len({hash_key(salt, secret.encode()) for salt in salts}) == 2


def test_a_name_is_taken_until_its_key_is_revoked(paths):
    first, _ = add_key(paths, "phone")
    with pytest.raises(DataError, match="a key 'phone' already"):
        add_key(paths, "phone")
    assert revoke_key(paths, "phone") == first
    second, _ = add_key(paths, "phone")
    keys = read_keys(paths.keys)
    assert keys is not None
    assert [key.id for key in keys.keys] == [first.id, second.id]  # a place is never given away
    assert keys.current("phone") == second


@pytest.mark.parametrize("name", ["", "a b", "-x", "é", "a\n", "local", "anybody", "<b>", "a" * 65])
def test_a_name_that_could_mislead_is_refused(paths, name):
    with pytest.raises(DataError, match="cannot name a key"):
        add_key(paths, name)
    assert not paths.keys.exists()


def test_a_key_that_has_expired_or_is_revoked_opens_no_server(paths):
    assert not has_usable_key(paths)
    made, _ = add_key(paths, "phone", expires_s=OFTEN)
    assert has_usable_key(paths)
    assert (made.state(OFTEN - 1), made.state(OFTEN)) == ("active", "expired")
    revoke_key(paths, "phone")
    assert not has_usable_key(paths)
    with pytest.raises(DataError, match="have expired already"):
        add_key(paths, "late", expires_s=1.0)


def test_an_unknown_name_or_role_suggests_the_known_one(paths):
    add_key(paths, "phone")
    with pytest.raises(DataError, match="Did you mean 'phone'"):
        revoke_key(paths, "phoen")
    with pytest.raises(DataError, match="Did you mean 'admin'"):
        role_of("admim")


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_an_allowance_of_nothing_is_refused(wrong):
    for name in ("rate_per_minute", "requests_per_month", "usd_per_month"):
        with pytest.raises(ValueError, match=name):
            Allowance(**{name: wrong})


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[" * 5000,
        lambda text: text.replace('"ask"', '"root"'),
        lambda text: text.replace('"hash": "', '"hash": "zz'),
        lambda text: text.replace('"rate_per_minute": 5', '"rate_per_minute": 0'),
        lambda text: text.replace('"roles": [', '"roles": [], "was": ['),
        lambda text: text.replace('"keys": [', '"keys": [' + _first(text) + ","),
        lambda text: text.replace('"version": 1', '"version": 99'),
    ],
)
def test_a_damaged_file_is_said_and_never_half_believed(paths, damage):
    add_key(paths, "phone", allowance=Allowance(rate_per_minute=5))
    text = paths.keys.read_text()
    assert damage(text) != text
    paths.keys.write_text(damage(text))
    with pytest.raises(StateError, match=r"keys\.json"):
        read_keys(paths.keys)
    with pytest.raises(StateError, match=r"keys\.json"):
        add_key(paths, "other")


def _first(text: str) -> str:
    return json.dumps(json.loads(text)["keys"][0])


def test_keys_added_at_once_are_all_kept(paths):
    adding = [threading.Thread(target=add_key, args=(paths, f"k{n}")) for n in range(6)]
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join()
    keys = read_keys(paths.keys)
    assert keys is not None
    assert {key.name for key in keys.keys} == {f"k{n}" for n in range(6)}


def test_a_write_that_fails_leaves_the_keys_before(paths, monkeypatch):
    made, _ = add_key(paths, "phone")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        add_key(paths, "other")
    keys = read_keys(paths.keys)
    assert keys is not None
    assert keys.keys == (made,)
    assert [p.name for p in paths.home.glob(".*.part")] == []
