"""Commands about keys, and `serve` at an address that others can reach."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.checkout import CLI, REPOSITORY, Checkout, ended


@pytest.fixture
def bare(tmp_path: Path) -> Checkout:
    """Settings of pipelines and nothing else: keys need no more."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    return Checkout(tmp_path)


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(bare: Checkout) -> None:
    assert "No keys" in bare.workbench("keys", "list").ok().text
    words = ("--pipeline", "fraud", "--rate-per-minute", "60", "--expires", "2199-01-01")
    secret = bare.workbench("keys", "add", "phone", *words).ok().text.splitlines()[0]
    assert secret.startswith("wb_")
    shown = bare.workbench("keys", "list").ok().sentence
    assert "phone" in shown
    assert "60 a minute" in shown
    assert "2199-01-01" in shown
    assert secret[12:] not in shown
    assert "opens nothing" in bare.workbench("keys", "revoke", "phone").ok().text
    (listed,) = json.loads(bare.workbench("keys", "list", "--json").ok().text)
    assert (listed["state"], listed["requests"], listed["last_use_s"]) == ("revoked", 0, None)
    assert "hash" not in listed


def test_a_key_comes_as_json_for_machines(bare: Checkout) -> None:
    words = ("--role", "ask", "--role", "feedback", "--budget-usd-per-month", "2.5", "--json")
    made = json.loads(bare.workbench("keys", "add", "phone", *words).ok().text)
    assert made["key"].startswith(f"wb_{made['id']}_")
    assert (made["roles"], made["usd_per_month"]) == (["ask", "feedback"], 2.5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "x", "--pipeline", "froud"), "Did you mean 'fraud'?"),
        (("add", "x", "--role", "admim"), "Did you mean 'admin'?"),
        (("add", "x", "--expires", "2020-01-01"), "have expired already"),
        (("add", "x", "--budget-usd-per-month", "nan"), "give more than 0"),
        (("add", "a b"), "cannot name a key"),
        (("revoke", "x"), "There is no key 'x'"),
    ],
)
def test_what_cannot_be_done_is_said_and_no_key_is_made(
    bare: Checkout, words: tuple[str, ...], said: str
) -> None:
    bare.workbench("keys", *words).failed(said)
    assert not bare.paths.keys.exists()


def test_serve_for_other_machines_needs_a_key_and_warns_without_tls(bare: Checkout) -> None:
    every = ("serve", "--host", "0.0.0.0", "--port", "0")
    bare.workbench(*every).failed("can be reached from other machines", "workbench keys add")
    bare.workbench("keys", "add", "phone").ok()
    server = bare.start(*CLI, *every)
    assert server.stdout
    heard = [server.stdout.readline() for _ in range(3)]
    assert "Keys and answers travel in clear" in heard[0]
    assert "at http://0.0.0.0:" in heard[2]
    server.send_signal(signal.SIGINT)
    ended(server).ok()
    bare.workbench("keys", "revoke", "phone").ok()
    bare.workbench(*every).failed("can be reached from other machines")


def test_serve_refuses_half_a_certificate_and_damaged_keys(bare: Checkout) -> None:
    cert = str(bare.root / "cert.pem")
    bare.workbench("serve", "--port", "0", "--tls-cert", cert).failed("give both")
    both = ("--tls-cert", cert, "--tls-key", cert)
    bare.workbench("serve", "--port", "0", *both).failed("cannot be used", "cert.pem")
    bare.workbench("keys", "add", "phone").ok()
    bare.paths.keys.write_text("{")
    bare.workbench("serve", "--port", "0").failed("keys.json", "cannot be read")
