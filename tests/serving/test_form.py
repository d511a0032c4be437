"""The form in a real browser: values in, an answer out, hostile names harmless."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from collections.abc import Iterator

import pytest

from tests.browser import page
from tests.serving import bundles
from tests.serving.conftest import Server
from workbench.core.files import write_json
from workbench.core.paths import Paths
from workbench.serving.door.keys import add_key
from workbench.storage.bundle import read_signature

HOSTILE = "</script><img src=x onerror=document.title='hacked'>\"'&"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("form")
    paths = Paths(root, root / ".workbench")
    for name in ("fraud", "talk", "drive"):
        bundles.release(paths, name, getattr(bundles, name)(root / name), number=3)
    folder = bundles.fraud(root / "hostile")
    signature = read_signature(folder)
    amount, country, paid_at = signature.inputs
    country = dataclasses.replace(country, words=("de", HOSTILE), description=HOSTILE)
    changed = dataclasses.replace(
        signature,
        notice=HOSTILE,
        target=HOSTILE,
        inputs=(amount, country, paid_at),
        example={"country": HOSTILE, "amount": 1},
    )
    write_json(folder / "signature.json", changed)
    bundles.release(paths, "hostile", folder, number=1)
    one = Server(paths)
    one.until_loaded()
    yield one
    one.stop()


def address(server: Server, name: str) -> str:
    return str(server.client.base_url.join(f"/try/{name}"))


def test_a_person_asks_changes_a_value_and_asks_again(server):
    with page(address(server, "fraud")) as shown:
        shown.wait_for_selector("#columns:not([hidden])")
        assert shown.title() == "Try fraud"
        assert shown.get_by_label("amount").input_value() == "20.5"
        shown.keyboard.press("Control+Enter")  # nothing was clicked: the first field has the focus
        shown.wait_for_selector("#result:not([hidden])")
        assert shown.inner_text("#verdict") == "no"
        assert "A machine decided" in shown.inner_text("#notice")
        assert "release" in shown.inner_text("#passport")
        first = shown.inner_text("#passport code")

        shown.get_by_label("amount").fill("5000")
        assert "outside" in shown.locator("#field-0-hint").get_attribute("class")
        shown.get_by_label("amount").press("Enter")
        shown.wait_for_function(
            f"document.querySelector('#passport code').textContent != '{first}'"
        )
        assert shown.inner_text("#verdict") == "yes"
        assert "'amount' is 5000" in shown.inner_text("#warnings")

        shown.get_by_label("amount").fill("a lot")
        assert "not a number" in shown.inner_text("#field-0-hint")
        shown.get_by_text("Back to the example").click()
        assert shown.get_by_label("amount").input_value() == "20.5"


def test_what_the_server_refuses_is_said_in_its_words(server):
    with page(address(server, "drive")) as shown:
        shown.wait_for_selector("#columns:not([hidden])")
        shown.get_by_role("button", name="Ask").click()
        shown.wait_for_selector("#refused:not([hidden])")
        assert "'frame' must be an image" in shown.inner_text("#refused")


def test_a_question_is_answered_with_passages(server):
    with page(address(server, "talk")) as shown:
        shown.wait_for_selector("#columns:not([hidden])")
        shown.get_by_role("button", name="Ask").click()
        shown.wait_for_selector("#result:not([hidden])")
        assert bundles.PASSAGES[1]["text"] in shown.inner_text("#passages")


def test_hostile_words_stay_words(server):
    said: list[str] = []
    with page("about:blank") as shown:
        shown.on("console", lambda message: said.append(message.text))
        shown.goto(address(server, "hostile"))
        shown.wait_for_selector("#columns:not([hidden])")
        assert shown.get_by_label("country").input_value() == HOSTILE
        shown.get_by_role("button", name="Ask").click()
        shown.wait_for_selector("#result:not([hidden])")
        assert HOSTILE in shown.inner_text("#notice")
        assert shown.title() == "Try hostile"
        assert shown.locator("img").count() == 0
        # What a page that was deceived would run is stopped by the policy.
        shown.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), "
            "{textContent: 'document.title = \"hacked\"'}))"
        )
        assert shown.title() == "Try hostile"
    assert any("Content Security Policy" in text for text in said)


def test_a_pipeline_that_is_not_there_is_said(server):
    with page(address(server, "froud")) as shown:
        shown.wait_for_selector("#trouble:not([hidden])")
        assert "Did you mean 'fraud'" in shown.inner_text("#trouble")


def test_a_server_with_keys_shows_nothing_until_one_is_typed(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "fraud"))
    _, secret = add_key(paths, "someone", pipelines=["fraud"], roles=["ask"])
    server = serve(paths)
    server.until(lambda said: said["ready"])
    with page(address(server, "fraud")) as shown:
        shown.wait_for_selector("#unlock:not([hidden])")
        assert shown.locator("#columns").is_hidden()
        shown.get_by_label("Key").fill("wb_wrong")
        shown.keyboard.press("Enter")
        shown.wait_for_selector("#trouble:not([hidden])")
        assert "needs a valid key" in shown.inner_text("#trouble")
        shown.get_by_label("Key").fill(secret)
        shown.keyboard.press("Enter")
        shown.wait_for_selector("#columns:not([hidden])")
        shown.keyboard.press("Control+Enter")
        shown.wait_for_selector("#result:not([hidden])")
        assert secret not in shown.content()


def test_the_page_needs_nothing_from_elsewhere_and_allows_its_own_script_only(server):
    reply = server.client.get("/try/fraud")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"(?:src|href)=|https?://|@import|url\(", reply.text)
    (policy,) = reply.headers.get_list("content-security-policy")
    assert "default-src 'none'" in policy
    for tag in ("script", "style"):
        inner = re.findall(f"<{tag}>(.*?)</{tag}>", reply.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner[0].encode()).digest()).decode()
        assert (len(inner), f"{tag}-src 'sha256-{digest}'" in policy) == (1, True)
