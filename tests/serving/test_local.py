"""Only programs of this machine are answered, not the pages that its browser shows."""

from __future__ import annotations

import pytest

from workbench.serving.local import is_local, refusal


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:9", "127.8.8.8:80", "[::1]", "[::1]:8"],
)
def test_names_and_addresses_of_this_machine_are_local(host: str) -> None:
    assert is_local(host.encode())


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0:8000",
        "192.0.2.1",
        "[2001:db8::1]:80",
        "127.0.0.1:80@evil.example",
        "localhost:80:90",
        "[::1",
        "",
        "\xff",
    ],
)
def test_any_other_host_is_foreign(host: str) -> None:
    assert not is_local(host.encode("latin-1"))


def headers(**named: str) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in named.items()]


def test_a_program_says_no_origin_and_is_answered() -> None:
    assert refusal(headers(host="127.0.0.1:8000", accept="*/*")) is None
    assert refusal([]) is None


def test_a_page_of_this_very_server_is_answered() -> None:
    for scheme in ("http", "https"):
        page = f"{scheme}://localhost:8000"
        assert refusal(headers(host="localhost:8000", origin=page)) is None


@pytest.mark.parametrize(
    "origin",
    [
        "//localhost:8000",
        "ftp://localhost:8000",
        "https:http://localhost:8000",
        "https://evil.example",
        "null",
        "http://localhost:9999",
        "http://evil.example:8000",
    ],
)
def test_a_page_of_another_site_is_not_answered(origin: str) -> None:
    assert "other sites" in str(refusal(headers(host="localhost:8000", origin=origin)))
    assert "other sites" in str(refusal(headers(origin=origin, host="localhost:8000")))
    assert refusal(headers(origin=origin)) is not None


def test_a_name_that_was_pointed_here_is_not_answered() -> None:
    said = refusal(headers(host="evil.example:8000", origin="http://evil.example:8000"))
    assert "localhost" in str(said)
    assert refusal([(b"host", b"localhost"), (b"host", b"evil.example")]) is not None
