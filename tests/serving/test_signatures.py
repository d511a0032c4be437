"""A server answers from bundles that someone it trusts has signed, and from no others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from tests.serving import bundles
from workbench.core.paths import Paths
from workbench.registry.signing import sign
from workbench.serving.models import load_models
from workbench.storage.pointer import Pointer, Target, write_pointer
from workbench.storage.signature import signature_file, signer

ROW = {"amount": 20.5, "country": "de", "paid_at": "2026-05-09T08:30:37"}


def unsigned(paths: Paths, target: Target) -> None:
    signature_file(paths.bundles, target.digest).unlink()


def cut_short(paths: Paths, target: Target) -> None:
    file = signature_file(paths.bundles, target.digest)
    file.write_bytes(file.read_bytes()[:-40])


def by_a_stranger(paths: Paths, target: Target) -> None:
    other = Paths(paths.root / "other", paths.root / "other" / ".workbench")
    shutil.copytree(paths.bundles / target.digest, other.bundles / target.digest)
    sign(other, target.digest)
    shutil.copy(signature_file(other.bundles, target.digest), paths.bundles)


WRONG = {unsigned: "is not signed", cut_short: "cannot be read", by_a_stranger: "not trusted here"}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_a_release_that_nobody_trusted_vouches_for_leaves_the_one_before_it_answering(
    paths, tmp_path, wrong
):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "one"))
    bundles.release(paths, "shop", bundles.shop(tmp_path / "shop"))
    before = load_models(paths)
    second = bundles.fraud(tmp_path / "two", weight=1.0)
    wrong(paths, bundles.release(paths, "fraud", second, number=2))

    found = load_models(paths, before)

    assert found.by_name["fraud"].version == "1"
    assert list(found.problems) == ["fraud"]
    said = found.problems["fraud"]
    assert WRONG[wrong] in said
    assert " Next: " in said
    assert said.endswith("Release 1 keeps answering.")
    assert list(load_models(paths).by_name) == ["shop"], "a start has no release before"


def test_an_unsigned_release_is_served_as_soon_as_it_is_signed(paths, serve, tmp_path):
    target = bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    unsigned(paths, target)
    server = serve(paths)
    said = server.until_loaded()
    assert (said["ready"], list(said["models"])) == (False, [])
    assert "run `workbench sync`" in said["problems"]["fraud"]
    refused = server.client.post("/predict/fraud", json=ROW)
    assert (refused.status_code, "is not signed" in refused.text) == (503, True)

    sign(paths, target.digest)

    server.until(lambda said: said["ready"])
    assert server.client.post("/predict/fraud", json=ROW).status_code == 200


def test_a_server_elsewhere_serves_what_it_was_given_with_the_public_key(paths, tmp_path):
    target = bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    edge = Paths(tmp_path / "edge", tmp_path / "edge" / ".workbench")
    shutil.copytree(paths.bundles, edge.bundles)
    write_pointer(edge.pointer, Pointer(pipelines={"fraud": {"champion": target}}))
    assert "not trusted here" in load_models(edge).problems["fraud"]
    edge.trusted.mkdir()
    shutil.copy(paths.signing_public, edge.trusted / "office.pub")
    assert load_models(edge).ready
    assert signer(edge, target.digest).startswith("signed by office (key ")


def test_an_altered_file_is_named_though_the_signature_holds(paths, tmp_path):
    target = bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    (paths.bundles / target.digest / "model.onnx").write_bytes(b"another")
    assert "model.onnx" in load_models(paths).problems["fraud"]
    assert "model.onnx" in signer(paths, target.digest)
    assert "verified" not in signer(paths, target.digest)


def test_what_verifies_needs_neither_model_signing_nor_sigstore(paths, tmp_path):
    bundles.release(paths, "fraud", bundles.fraud(tmp_path / "bundle"))
    script = """
import json, sys
from pathlib import Path
from workbench.core.paths import Paths
from workbench.serving.models import load_models
root = Path(sys.argv[1])
assert load_models(Paths(root, root / ".workbench")).ready
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    command = [sys.executable, "-W", "error", "-c", script, str(paths.root)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = set(json.loads(run.stdout))
    assert "cryptography" in loaded
    assert not loaded & {"model_signing", "sigstore", "OpenSSL", "pydantic", "google", "requests"}
