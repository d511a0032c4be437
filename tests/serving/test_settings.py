from __future__ import annotations

import os
import time

import pytest

from tests.serving import bundles
from workbench.core.errors import ParamsError
from workbench.serving.door.keys import Allowance, add_key
from workbench.serving.settings import Settings
from workbench.storage.predictions.reading import find_passport

PARAMS = """
version: 1
pipelines: [fraud]
site: {hardware_usd_per_hour: 3.6}
fraud:
  collect: {as_of: "2026-01-01"}
  split: {by: hash}
  deploy: {log: {private: [country], fraction: 1.0}}
"""


def test_settings_follow_the_file_and_a_broken_one_leaves_what_was_known(paths):
    assert Settings(paths).log("fraud").private == ()
    paths.params.write_text(PARAMS)
    settings = Settings(paths)
    assert settings.log("fraud").private == ("country",)
    assert settings.log("another").private == ()
    assert settings.usd_per_s == pytest.approx(0.001)
    paths.params.write_text(PARAMS.replace("log:", "lug:"))
    settings.look()
    assert "lug" in settings.trouble
    assert settings.log("fraud").private == ("country",)
    paths.params.write_text(PARAMS.replace("[country]", "[amount]"))
    os.utime(paths.params, (1, 1))
    settings.look()
    assert (settings.trouble, settings.log("fraud").private) == ("", ("amount",))


def test_a_server_never_writes_private_inputs_in_clear_also_when_told_later(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=3)
    paths.params.write_text(PARAMS.replace("[country]", "[]"))
    server = serve(paths)
    server.until_loaded()
    row = {"amount": 1, "country": "atlantis"}
    clear = server.client.post("/predict/fraud", json=row).json()["id"]
    paths.params.write_text(PARAMS)
    server.until(lambda said: _asked(server, row) and _private(paths, server, row))
    server.stop()
    assert find_passport(paths, clear).rows[0]["country"] == "atlantis"


def _asked(server, row) -> bool:
    return server.client.post("/predict/fraud", json=row).status_code == 200


def _private(paths, server, row) -> bool:
    """Whether the newest answer is on file without what is private."""
    id = server.client.post("/predict/fraud", json=row).json()["id"]
    time.sleep(0.6)
    return "atlantis" not in str(find_passport(paths, id).rows)


def test_answers_are_charged_by_the_machines_price_until_the_keys_budget_is_used_up(
    paths, serve, tmp_path
):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=3)
    paths.params.write_text(PARAMS.replace("3.6", "3600000"))  # a thousand dollars a second
    _, key = add_key(paths, "shop", allowance=Allowance(usd_per_month=100.0))
    server = serve(paths)
    server.client.headers["authorization"] = f"Bearer {key}"
    server.until_loaded()
    row = {"amount": 1, "country": "fr"}
    assert _asked(server, row)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        said = server.client.post("/predict/fraud", json=row)
        if said.status_code == 429:
            break
        time.sleep(0.2)
    assert said.status_code == 429
    assert "of this month" in said.json()["error"]
    assert int(said.headers["retry-after"]) > 0


def test_settings_that_cannot_be_read_are_told_by_readiness(paths, serve, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"), number=3)
    paths.params.write_text(PARAMS)
    server = serve(paths)
    server.until_loaded()
    paths.params.write_text(PARAMS.replace("log:", "lug:"))
    said = server.until(lambda said: "params.yaml" in said["problems"])
    assert said["ready"]
    assert "lug" in said["problems"]["params.yaml"]


def test_a_server_does_not_start_on_settings_that_say_not_what_is_private(paths):
    paths.params.write_text(PARAMS.replace("log:", "lug:"))
    with pytest.raises(ParamsError, match="lug"):
        Settings(paths)
