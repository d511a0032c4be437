"""What others must not read is not shown and not readable."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from workbench.core.secrets import masked, private, private_folder


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://lea:geheim@db.example:5432/ledger",
        "postgresql://lea:ge#he/im@x@db.example:5432/ledger",
        "postgresql://:geheim@db.example:5432/ledger",
        "https://geheim@db.example:5432/ledger",
        "postgresql://lea:ge:heim@db.example:5432/ledger",
    ],
)
def test_no_way_to_write_a_login_into_an_address_is_shown(url: str) -> None:
    assert masked(url).endswith("//***@db.example:5432/ledger")
    assert masked(f"cannot reach '{url}' or {url}: refused").count("***@db.example") == 2


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://db.example/ledger?user=lea&password=geheim&sslmode=require",
        "host=db.example password='ge heim' user=lea",
        "https://db.example/?access_token=geheim",
        "PGPASSWORD = geheim",
    ],
)
def test_named_passwords_are_not_shown_and_the_rest_is(text: str) -> None:
    assert "heim" not in masked(text)
    assert "***" in masked(text)
    assert ("db.example" in masked(text)) == ("db.example" in text)


def test_the_end_of_a_password_that_a_driver_took_for_a_host_is_not_shown() -> None:
    url = "postgresql://lea:ge@heim@db.example/ledger"
    said = masked("failed to resolve host 'heim@db.example': unknown", url)
    assert said == "failed to resolve host '***@db.example': unknown"


@pytest.mark.parametrize(
    "text",
    ["sqlite:////home/lea@work/.workbench/ledger.db", "https://db.example/path", "no address"],
)
def test_what_holds_no_password_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


def test_a_private_folder_and_what_is_missing_above_it_are_for_their_owner(tmp_path: Path) -> None:
    private_folder(tmp_path / "home" / "runs")
    for folder in (tmp_path / "home", tmp_path / "home" / "runs"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with open(tmp_path / "file", "w", opener=private) as file:
        file.write("x")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_folder_that_was_shared_on_purpose_stays_shared(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o770)
    private_folder(shared / "runs")
    assert stat.S_IMODE(shared.stat().st_mode) == 0o770
