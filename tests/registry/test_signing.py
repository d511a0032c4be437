"""Who vouches for a release: signed here, verified by us and by `model-signing` itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from model_signing import hashing, signing, verifying

from tests.serving.bundles import fraud
from tests.tracking.checkout import Checkout
from workbench.core.errors import BundleError, StateError
from workbench.core.params import SiteParams
from workbench.core.paths import Paths
from workbench.registry.backup import backup
from workbench.registry.log import read_log
from workbench.registry.releases import release, rollback, sync_registry
from workbench.registry.restore import restore
from workbench.registry.signing import sign
from workbench.storage.bundle import seal, verify
from workbench.storage.pointer import read_pointer
from workbench.storage.signature import signature_file, signed_by, signer
from workbench.tracking.sync import sync

SITE = SiteParams()


@dataclass(frozen=True)
class Signed:
    """A signed bundle of a checkout that has nothing else."""

    paths: Paths
    digest: str

    @property
    def folder(self) -> Path:
        return self.paths.bundles / self.digest

    @property
    def file(self) -> Path:
        return signature_file(self.paths.bundles, self.digest)

    def ours(self) -> None:
        """What a server does before it answers."""
        signed_by(self.paths, self.digest)
        verify(self.folder)

    def theirs(self, public: Path | None = None) -> None:
        key = public or self.paths.signing_public
        verifying.Config().use_elliptic_key_verifier(public_key=key).verify(self.folder, self.file)


def put(root: Path, weight: float = 0.01) -> Signed:
    """A bundle where releases stand, not signed yet."""
    paths = Paths(root, root / ".workbench")
    made = fraud(root / f"made-{weight}", weight=weight)
    digest = verify(made)
    shutil.copytree(made, paths.bundles / digest)
    return Signed(paths, digest)


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    made = put(tmp_path)
    sign(made.paths, made.digest)
    return made


def ready(checkout: Checkout, weight: float) -> Signed:
    """A champion of a real release."""
    digest = checkout.trained(weight)
    assert not sync(checkout.paths, SITE).problems
    assert not release(checkout.paths, "fraud").problems
    return Signed(checkout.paths, digest)


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> bytes:
    how = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def with_their_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_anybody_can_verify_a_release_with_the_command_of_model_signing(checkout: Checkout) -> None:
    made = ready(checkout, 1.2)
    asked = ("verify", "key", made.folder, "--signature", made.file)
    asked = (*asked, "--public_key", checkout.paths.signing_public)
    found = with_their_command(*asked)
    assert (found.returncode, "Verification succeeded" in found.stdout) == (0, True), found
    (made.folder / "card.md").write_text("better than it is")
    assert with_their_command(*asked).returncode == 1


def test_the_signature_stands_beside_the_bundle_and_leaves_its_digest(signed: Signed) -> None:
    assert verify(signed.folder) == signed.digest
    assert signed.file == signed.paths.bundles / f"{signed.digest}.sig"
    assert sorted(p.name for p in signed.paths.bundles.iterdir()) == [
        signed.digest,
        signed.file.name,
    ]


def alter_file(made: Signed) -> None:
    (made.folder / "signature.json").write_text("{}")


def alter_file_and_checksums(made: Signed) -> None:
    (made.folder / "model.onnx").write_bytes(b"another")
    seal(made.folder)


def add_file(made: Signed) -> None:
    (made.folder / "files").mkdir()
    (made.folder / "files" / "more.json").write_text("[]")


def remove_file(made: Signed) -> None:
    (made.folder / "model.onnx").unlink()


def remove_checksums(made: Signed) -> None:
    (made.folder / "checksums.json").unlink()


def cut_short(made: Signed) -> None:
    content = made.file.read_bytes()
    made.file.write_bytes(content[: len(content) // 2])


def empty(made: Signed) -> None:
    made.file.write_bytes(b"")


def of_another_bundle(made: Signed) -> None:
    other = put(made.paths.root, weight=0.5)
    sign(other.paths, other.digest)
    shutil.copy(other.file, made.file)


def by_another_key(made: Signed) -> None:
    other = put(made.paths.root / "elsewhere")
    sign(other.paths, other.digest)
    shutil.copy(other.file, made.file)


def by_another_key_under_the_name_of_ours(made: Signed) -> None:
    hint = json.loads(made.file.read_bytes())["verificationMaterial"]["publicKey"]["hint"]
    by_another_key(made)
    rewrite(made, lambda it: it["verificationMaterial"]["publicKey"].update(hint=hint))


def swap_payload(made: Signed) -> None:
    own = json.loads(made.file.read_bytes())["dsseEnvelope"]["signatures"]
    of_another_bundle(made)
    rewrite(made, lambda it: it["dsseEnvelope"].update(signatures=own))


def no_signature_inside(made: Signed) -> None:
    rewrite(made, lambda it: it["dsseEnvelope"].update(signatures=[]))


def of_another_kind(made: Signed) -> None:
    rewrite(made, lambda it: it.update(mediaType="application/json"))


def with_another_payload_type(made: Signed) -> None:
    rewrite(made, lambda it: it["dsseEnvelope"].update(payloadType="text/plain"))


def rewrite(made: Signed, change: Callable[[dict], None]) -> None:
    content = json.loads(made.file.read_bytes())
    change(content)
    made.file.write_text(json.dumps(content))


DAMAGES = (
    alter_file, alter_file_and_checksums, add_file, remove_file, remove_checksums, cut_short, empty,
    of_another_bundle, by_another_key, by_another_key_under_the_name_of_ours, swap_payload,
    no_signature_inside, of_another_kind, with_another_payload_type,
)  # fmt: skip


def test_both_accept_what_is_whole(signed: Signed) -> None:
    signed.ours()
    signed.theirs()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_what_model_signing_refuses_is_refused_here(
    signed: Signed, damage: Callable[[Signed], None]
) -> None:
    damage(signed)
    with pytest.raises((ValueError, KeyError, IndexError, InvalidSignature)):
        signed.theirs()
    with pytest.raises(BundleError) as refused:
        signed.ours()
    assert str(signed.digest[:12]) in str(refused.value)


def test_no_altered_byte_of_a_signature_gets_past_us_that_model_signing_refuses(
    signed: Signed,
) -> None:
    whole = signed.file.read_bytes()
    accepted = 0
    for at in range(0, len(whole), 9):
        signed.file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            signed.ours()
        except BundleError:
            continue
        signed.theirs()
        accepted += 1
    assert accepted < 20  # names that nobody reads, as `keyid`


def test_a_file_that_a_signature_says_to_ignore_is_refused_though_model_signing_ignores_it(
    signed: Signed, tmp_path: Path
) -> None:
    ignoring = hashing.Config().set_ignored_paths(paths=[signed.folder / "model.onnx"])
    config = signing.Config().use_elliptic_key_signer(private_key=signed.paths.signing_key)
    config.set_hashing_config(ignoring).sign(signed.folder, signed.file)
    (signed.folder / "model.onnx").write_bytes(b"another")
    signed.theirs()
    with pytest.raises(BundleError, match=r"model\.onnx of bundle .* is not what was signed"):
        signed.ours()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_a_bundle_that_someone_trusted_signed_with_model_signing_is_accepted(
    tmp_path: Path, curve: ec.EllipticCurve
) -> None:
    made = put(tmp_path)
    key = ec.generate_private_key(curve)
    (tmp_path / "ada.key").write_bytes(pem(key))
    config = signing.Config().use_elliptic_key_signer(private_key=tmp_path / "ada.key")
    config.sign(made.folder, made.file)
    with pytest.raises(BundleError, match=r"which is not trusted here\.\nNext: if you know whose"):
        made.ours()
    made.paths.trusted.mkdir()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (made.paths.trusted / "ada.pub").write_bytes(public)
    made.ours()
    assert signed_by(made.paths, made.digest).name == "ada"
    assert signer(made.paths, made.digest).startswith("signed by ada (key ")
    made.theirs(made.paths.trusted / "ada.pub")


def test_a_file_among_trusted_keys_that_is_none_is_named_when_a_key_is_looked_for(
    signed: Signed,
) -> None:
    (signed.paths.trusted / "a-note.pub").write_text("hello")
    signed.ours()
    by_another_key(signed)
    with pytest.raises(BundleError, match=r"not trusted here \(a-note\.pub holds no public key\)"):
        signed.ours()


def test_a_key_is_made_once_for_its_owner_alone_and_a_signature_that_holds_stays(
    signed: Signed,
) -> None:
    key, content = signed.paths.signing_key.read_bytes(), signed.file.read_bytes()
    assert signed.paths.signing_key.stat().st_mode & 0o777 == 0o600
    sign(signed.paths, signed.digest, again=True)
    other = put(signed.paths.root, weight=2.0)
    assert sign(other.paths, other.digest) == sign(signed.paths, signed.digest)
    assert signed.paths.signing_key.read_bytes() == key
    assert signed.file.read_bytes() == content


def test_releases_at_once_share_one_key(tmp_path: Path) -> None:
    made = [put(tmp_path, weight=float(n)) for n in range(1, 6)]
    threads = [threading.Thread(target=sign, args=(one.paths, one.digest)) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in made:
        one.theirs()


def test_what_an_earlier_key_signed_stays_trusted_until_a_person_takes_it_away(
    signed: Signed,
) -> None:
    before = signed_by(signed.paths, signed.digest)
    signed.paths.signing_key.unlink()
    other = put(signed.paths.root, weight=2.0)
    assert sign(other.paths, other.digest) != before
    assert signed_by(signed.paths, signed.digest) == before
    assert signer(signed.paths, signed.digest).startswith(f"signed by {before.name} (key ")
    assert signer(other.paths, other.digest).startswith("signed by this checkout (key ")
    (signed.paths.trusted / f"{before.name}.pub").unlink()
    with pytest.raises(BundleError, match="not trusted here"):
        signed.ours()


@pytest.mark.parametrize("kind", ["password", "rsa", "curve", "text"])
def test_a_key_that_cannot_sign_is_said_in_a_sentence_and_nothing_is_signed(
    tmp_path: Path, kind: str
) -> None:
    made = put(tmp_path)
    contents = {
        "password": pem(ec.generate_private_key(ec.SECP256R1()), b"secret"),
        "rsa": pem(rsa.generate_private_key(65537, 2048)),
        "curve": pem(ec.generate_private_key(ec.SECP256K1())),
        "text": b"hello",
    }
    made.paths.signing_key.write_bytes(contents[kind])
    with pytest.raises(StateError, match=r"signing\.key (cannot be used|is not on the curve)"):
        sign(made.paths, made.digest)
    assert made.paths.signing_key.read_bytes() == contents[kind]
    assert not made.file.exists()


def test_a_bundle_that_is_not_what_it_says_is_not_signed(tmp_path: Path) -> None:
    made = put(tmp_path)
    (made.folder / "model.onnx").write_bytes(b"another")
    with pytest.raises(BundleError, match=r"model\.onnx of bundle .* is not what was signed"):
        sign(made.paths, made.digest)
    assert os.listdir(made.paths.bundles) == [made.digest]


def test_a_link_in_a_bundle_is_not_signed(tmp_path: Path) -> None:
    made = put(tmp_path)
    (made.folder / "model.onnx").rename(tmp_path / "outside")
    (made.folder / "model.onnx").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="symlink"):
        sign(made.paths, made.digest)
    assert os.listdir(made.paths.bundles) == [made.digest]


def test_a_release_from_before_signatures_is_signed_by_the_next_sync(checkout: Checkout) -> None:
    made = ready(checkout, 1.2)
    made.file.unlink()
    before = checkout.paths.pointer.stat().st_mtime_ns
    with pytest.raises(BundleError, match=r"is not signed .*\nNext: run `workbench sync`"):
        made.ours()
    assert not sync_registry(checkout.paths).problems
    made.ours()
    assert checkout.paths.pointer.stat().st_mtime_ns > before, "no server would look again"


def test_a_sync_does_not_paper_over_an_altered_signature_but_a_release_of_the_same_mends_it(
    checkout: Checkout,
) -> None:
    made = ready(checkout, 1.2)
    cut_short(made)
    half = made.file.read_bytes()
    (problem,) = sync_registry(checkout.paths).problems
    assert "The signature of bundle" in problem.problem
    assert made.file.read_bytes() == half
    assert release(checkout.paths, "fraud").how == "same"
    made.ours()


def test_a_rollback_to_a_release_with_an_altered_signature_is_refused_before_anything_is_logged(
    checkout: Checkout,
) -> None:
    first = ready(checkout, 1.2)
    ready(checkout, 1.5)
    cut_short(first)
    before = read_log(checkout.paths, "fraud")
    with pytest.raises(BundleError, match="The signature of bundle"):
        rollback(checkout.paths, "fraud", reason="drift")
    assert read_log(checkout.paths, "fraud") == before


def test_a_challenger_with_an_altered_signature_does_not_stand_in_the_way_of_a_rollback(
    checkout: Checkout,
) -> None:
    first = ready(checkout, 1.2)
    ready(checkout, 1.5)
    digest = checkout.trained(1.6)
    assert not sync(checkout.paths, SITE).problems
    release(checkout.paths, "fraud", challenger=True)
    assert set(read_pointer(checkout.paths.pointer).pipelines["fraud"]) == {
        "champion",
        "challenger",
    }
    cut_short(Signed(checkout.paths, digest))
    rollback(checkout.paths, "fraud", reason="drift")
    (stand,) = read_pointer(checkout.paths.pointer).pipelines["fraud"].items()
    assert (stand[0], stand[1].digest) == ("champion", first.digest)


def test_a_backup_brings_signatures_and_public_keys_and_no_private_one(
    checkout: Checkout, tmp_path: Path
) -> None:
    made = ready(checkout, 1.2)
    saved = backup(checkout.paths, tmp_path / "saved.tar").file
    assert b"PRIVATE KEY" not in saved.read_bytes()
    elsewhere = Paths(tmp_path / "clone", tmp_path / "clone" / ".workbench")
    elsewhere.home.mkdir(parents=True)
    shutil.copy(checkout.paths.params, elsewhere.params)

    assert restore(elsewhere, saved).notes == []

    assert not elsewhere.signing_key.exists()
    assert signed_by(elsewhere, made.digest) == signed_by(checkout.paths, made.digest)


def test_a_restore_mends_a_signature_that_was_altered_and_leaves_one_that_holds(
    checkout: Checkout, tmp_path: Path
) -> None:
    made = ready(checkout, 1.2)
    saved = backup(checkout.paths, tmp_path / "saved.tar").file
    made.file.unlink()
    sign(checkout.paths, made.digest)  # by the same key, and yet other bytes
    own = made.file.read_bytes()
    done = restore(checkout.paths, saved)
    assert (done.left, done.replaced, made.file.read_bytes()) == ([], [], own)
    cut_short(made)
    assert restore(checkout.paths, saved).replaced == [f"bundles/{made.file.name}"]
    made.ours()
