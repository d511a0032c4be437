"""Released bundles signed with this checkout's key, in the format of OpenSSF's `model-signing`.

The key is made when it is first needed. `model-signing` takes a second to import and brings what
talks to Sigstore's services; none of that is used, and nothing but a release imports it.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from workbench.core.errors import BundleError, StateError
from workbench.core.files import write_bytes
from workbench.core.secrets import private, private_folder
from workbench.execution.lock import hold
from workbench.storage.bundle import stated
from workbench.storage.signature import (
    CURVES,
    Signer,
    check,
    fingerprint,
    public_pem,
    signature_file,
    signed_by,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from workbench.core.paths import Paths

LOCK_WAIT_S = 30.0


def sign(paths: Paths, digest: str, *, again: bool = False) -> Signer:
    """Let a trusted key vouch for the released bundle `digest`; return whose.

    A signature that holds stays. again: replace one that does not; otherwise only a missing one is
    made, so that an altered one is found and not papered over. Raises BundleError when a signature
    is wrong, or the bundle is not what its digest says; StateError when the key cannot be used.
    """
    file = signature_file(paths.bundles, digest)
    try:
        return signed_by(paths, digest)
    except BundleError:
        if file.exists() and not again:
            raise
    private_folder(paths.home)
    with hold(paths.lock("signing"), "signing key of this checkout", wait_s=LOCK_WAIT_S):
        _own_key(paths)
    content = _signature(paths, paths.bundles / digest, file)
    found = check(paths, digest, stated(paths.bundles / digest), content)
    write_bytes(file, content)
    with contextlib.suppress(FileNotFoundError):
        os.utime(paths.pointer)  # a server that refused the bundle looks again
    return found


def _signature(paths: Paths, folder: Path, file: Path) -> bytes:
    """Sign every file of a bundle; links are refused, and nothing is ignored."""
    from model_signing import hashing, signing

    aside = file.with_name(f".{file.name}.{os.getpid()}.made")
    everything = hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)
    config = signing.Config().use_elliptic_key_signer(private_key=paths.signing_key)
    try:
        config.set_hashing_config(everything).sign(folder, aside)
        return aside.read_bytes()
    except ValueError as error:
        raise BundleError(f"Bundle {folder.name[:12]} cannot be signed: {error}") from None
    finally:
        aside.unlink(missing_ok=True)


def _own_key(paths: Paths) -> None:
    """See that this checkout has a key, gives away its public half, and trusts it.

    Under its own name it stays trusted when the key is replaced, until a person takes it away.
    """
    key = _read_key(paths.signing_key) if paths.signing_key.exists() else _new_key(paths)
    public = key.public_key()
    for file in (paths.signing_public, paths.trusted / f"{fingerprint(public)[:12]}.pub"):
        if not file.is_file() or file.read_bytes() != public_pem(public):
            write_bytes(file, public_pem(public))


def _new_key(paths: Paths) -> EllipticCurvePrivateKey:
    """Make a key on the curve P-256 and write it for its owner alone."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = ec.generate_private_key(ec.SECP256R1())
    aside = paths.signing_key.with_name(f".{paths.signing_key.name}.part")
    aside.unlink(missing_ok=True)  # of a process that was killed; the lock is ours
    with open(aside, "xb", opener=private) as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    aside.rename(paths.signing_key)
    return key


def _read_key(file: Path) -> EllipticCurvePrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: has a password
        raise _no_key(file, f"cannot be used: {error}") from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name not in CURVES:
        raise _no_key(file, "is not on the curve P-256, P-384 or P-521")
    return key


def _no_key(file: Path, why: str) -> StateError:
    return StateError(
        f"The signing key {file} {why}.",
        kept="the bundles and the signatures that they have",
        fix=f"put a PEM key without a password there, or `rm {file}` for a new one",
    )
