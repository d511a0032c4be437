"""Who vouches for a released bundle: `bundles/<digest>.sig`, beside the bundle itself.

The registry signs with the OpenSSF package `model-signing`. What that writes is a Sigstore bundle:
an envelope (DSSE) with an in-toto statement that lists the SHA-256 of every file, signed with an
elliptic-curve key. Here it is read with `cryptography` alone, because importing the package takes
a server about a second and 50 MB. Where the package is lenient (files that a signature says to
ignore, formats of its early versions), this is not: all of a bundle is signed, or it is refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from workbench.core.errors import BundleError
from workbench.core.paths import Paths
from workbench.storage.bundle import stated, verify

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

CURVES = ("secp256r1", "secp384r1", "secp521r1")
"""What `model-signing` takes."""
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"


@dataclass(frozen=True)
class Signer:
    """Whose key vouches for a bundle.

    name: of its file in `.workbench/trusted`, without the end.
    fingerprint: SHA-256 of the public key as PEM, hex; what `model-signing` calls the key's hint.
    """

    name: str
    fingerprint: str


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    hint: str


class _Material(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    public_key: _Key
    tlog_entries: list[Any] = []


class _Made(msgspec.Struct, forbid_unknown_fields=True):
    sig: bytes
    keyid: str = ""


class _Envelope(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    payload: bytes
    payload_type: str
    signatures: list[_Made]


class _Signature(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The file, with as few liberties as the package takes; base64 in it stands here as bytes."""

    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope


class _Digest(msgspec.Struct):
    sha256: str


class _Subject(msgspec.Struct):
    digest: _Digest


class _Resource(msgspec.Struct):
    name: str
    algorithm: str
    digest: str


class _Predicate(msgspec.Struct):
    serialization: dict[str, Any]
    resources: list[_Resource]


class _Statement(msgspec.Struct, rename="camel"):
    """What was signed."""

    kind: str = msgspec.field(name="_type")
    predicate_type: str
    subject: list[_Subject]
    predicate: _Predicate


def signature_file(bundles: Path, digest: str) -> Path:
    """Where the signature of bundle `digest` stands."""
    return bundles / f"{digest}.sig"


def signed_by(paths: Paths, digest: str) -> Signer:
    """Return whose key, of those trusted here, vouches for what bundle `digest` states of itself.

    BundleError when there is no signature, or none that holds. The files are compared with what is
    stated when the bundle is loaded (`verify`), so that they are read once.
    """
    expected = stated(paths.bundles / digest)
    file = signature_file(paths.bundles, digest)
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise BundleError(
            f"Bundle {digest[:12]} is not signed ({file.name} is missing).",
            fix="run `workbench sync` where it was released, or `workbench release`",
        ) from None
    return check(paths, digest, expected, content)


def signer(paths: Paths, digest: str) -> str:
    """Say who signed the bundle, and that every file is as it was signed; or why not."""
    try:
        found = signed_by(paths, digest)
        verify(paths.bundles / digest)
    except BundleError as error:
        return error.problem
    own = read_public(paths.signing_public)
    whose = "this checkout" if own and fingerprint(own) == found.fingerprint else found.name
    return f"signed by {whose} (key {found.fingerprint[:12]}), verified"


def check(paths: Paths, digest: str, expected: dict[str, str], content: bytes) -> Signer:
    """Return whose key made the signature `content` over exactly the files `expected`.

    expected: SHA-256 by relative name, `checksums.json` included. Raises BundleError.
    """
    read = _read(paths, digest, content, _Signature)
    envelope = read.dsse_envelope
    if (read.media_type, envelope.payload_type) != (_MEDIA_TYPE, _PAYLOAD_TYPE):
        raise _wrong(paths, digest, f"is of an unknown kind ({read.media_type[:80]})")
    if len(envelope.signatures) != 1:
        raise _wrong(paths, digest, "must be by one key")
    hint = read.verification_material.public_key.hint
    found, key = _trusted(paths, digest, hint)
    if not _made_with(key, envelope.signatures[0].sig, envelope.payload):
        raise _wrong(paths, digest, f"was altered: key {hint[:12]} did not make it")
    signed = _listed(paths, digest, _read(paths, digest, envelope.payload, _Statement))
    for name in sorted({*expected, *signed}):
        if expected.get(name) != signed.get(name):
            raise BundleError(
                f"{name[:80]} of bundle {digest[:12]} is not what was signed.",
                fix="take the bundle again from its release: `workbench release`",
            )
    return found


def fingerprint(key: EllipticCurvePublicKey) -> str:
    """Return the name of a public key: SHA-256 of its PEM text, hex."""
    return hashlib.sha256(public_pem(key)).hexdigest()


def public_pem(key: EllipticCurvePublicKey) -> bytes:
    """Return a public key as the text that others keep."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public(file: Path) -> EllipticCurvePublicKey | None:
    """Read a public key; None for anything else, which only matters when a key is not found."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(file.read_bytes())
    except (ValueError, UnsupportedAlgorithm, OSError):
        return None
    return key if isinstance(key, EllipticCurvePublicKey) and key.curve.name in CURVES else None


def _trusted(paths: Paths, digest: str, hint: str) -> tuple[Signer, EllipticCurvePublicKey]:
    """Find the key of fingerprint `hint` among those trusted here."""
    unread: list[str] = []
    for file in sorted(paths.trusted.glob("*.pub")):
        key = read_public(file)
        if key is None:
            unread.append(file.name)
        elif fingerprint(key) == hint:
            return Signer(file.stem, hint), key
    hidden = f" ({', '.join(unread)} holds no public key)" if unread else ""
    raise BundleError(
        f"Bundle {digest[:12]} is signed by key {hint[:12]!r}, which is not trusted here{hidden}.",
        fix=f"if you know whose key it is, put its public half into {paths.trusted}/NAME.pub",
    )


def _made_with(key: EllipticCurvePublicKey, signature: bytes, payload: bytes) -> bool:
    """Whether `key` signed `payload`, as DSSE packs it: with its type and length before it."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    sums = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}
    packed = f"DSSEv1 {len(_PAYLOAD_TYPE)} {_PAYLOAD_TYPE} {len(payload)} ".encode() + payload
    try:
        key.verify(signature, packed, ECDSA(sums[key.curve.key_size]()))
    except InvalidSignature:
        return False
    return True


def _listed(paths: Paths, digest: str, statement: _Statement) -> dict[str, str]:
    """SHA-256 by name of the signed files; the statement's own sum over them must hold too."""
    if (statement.kind, statement.predicate_type) != (_STATEMENT, _PREDICATE):
        raise _wrong(paths, digest, f"states something else ({statement.predicate_type[:80]})")
    method = statement.predicate.serialization
    resources = statement.predicate.resources
    kinds = {method.get("hash_type"), *(resource.algorithm for resource in resources)}
    if method.get("method") != "files" or kinds != {"sha256"}:
        raise _wrong(paths, digest, "must list files by their SHA-256")
    total = hashlib.sha256()
    try:
        for resource in resources:
            total.update(bytes.fromhex(resource.digest))
    except ValueError:
        raise _wrong(paths, digest, "lists a file by what is no SHA-256") from None
    listed = {resource.name: resource.digest for resource in resources}
    if [s.digest.sha256 for s in statement.subject] != [total.hexdigest()] or len(listed) != len(
        resources
    ):
        raise _wrong(paths, digest, "contradicts itself")
    return listed


def _read(paths: Paths, digest: str, content: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _wrong(paths, digest, f"cannot be read: {error}") from None


def _wrong(paths: Paths, digest: str, why: str) -> BundleError:
    file = signature_file(paths.bundles, digest)
    return BundleError(
        f"The signature of bundle {digest[:12]} {why}.",
        fix=f"if you trust what is here: `rm {file}`, then `workbench sync` signs it again",
    )
