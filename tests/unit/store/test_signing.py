"""Signatures: what they bind, what is refused, and that the OpenSSF's own library agrees both ways."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from treadle.api.reasons import Reason
from treadle.store import signing
from treadle.store.errors import StoreError
from treadle.store.manifest import digest_of

CONTENT = {"model.onnx": b"weights", "schema.json": b"{}", "deep/golden.json": b"[]"}
FILES = {path: hashlib.sha256(data).hexdigest() for path, data in CONTENT.items()}
MANIFEST = b'{"format":"treadle.dev/model/v1"}'
KEY = signing.new_key()
PUBLIC = signing.public_of(KEY)
SHORT = digest_of(MANIFEST)[7:15]


def self_signed(private_pem: bytes) -> bytes:
    """Return a certificate that has long expired: of it only the key counts."""
    key = serialization.load_pem_private_key(private_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "treadle-signing")])
    start = datetime(2013, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, start, start + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def sec1(private_pem: bytes) -> bytes:
    key = serialization.load_pem_private_key(private_pem, None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


OTHER = signing.public_of(signing.new_key())
ACCEPTED = {
    "by its public key": (KEY, PUBLIC),
    "by a certificate of its key": (KEY, self_signed(KEY)),
    "by one of several keys": (KEY, OTHER + b"\n" + PUBLIC),
    "with a key in SEC1": (sec1(KEY), PUBLIC),
}


@pytest.mark.parametrize(("private", "public"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_is_accepted(private: bytes, public: bytes) -> None:
    bundle = signing.sign(private, FILES, MANIFEST)
    assert signing.verify(bundle, public, FILES, MANIFEST) == hashlib.sha256(PUBLIC).hexdigest()


def changed(**parts: object) -> bytes:
    """Return a valid bundle with parts of its envelope replaced."""
    document = json.loads(signing.sign(KEY, FILES, MANIFEST))
    document["dsseEnvelope"].update(parts)
    return json.dumps(document).encode()


FOREIGN = signing.sign(signing.new_key(), FILES, MANIFEST)
FOREIGN_ID = json.loads(FOREIGN)["verificationMaterial"]["publicKey"]["hint"][:8]
OWN_ID = hashlib.sha256(PUBLIC).hexdigest()[:8]
EXTRA = signing.sign(KEY, {**FILES, "extra.bin": "0" * 64}, MANIFEST)
REFUSED = {
    "without a signature": (None, f"model {SHORT} has no signature."),
    "by a key that nobody knows": (
        FOREIGN,
        f'model {SHORT} is signed by unknown key {FOREIGN_ID}. Add it to "public.pem" of Secret treadle-signing,'
        " or retrain. docs: reasons/SignatureInvalid",
    ),
    "that is no JSON": (b"hello", f"model {SHORT} has a signature that is no model-signing bundle in key mode."),
    "of another type": (changed(payloadType="text/plain"), "is no model-signing bundle in key mode."),
    "with two signatures": (changed(signatures=[{"sig": ""}, {"sig": ""}]), "is no model-signing bundle in key mode."),
    "with another payload": (
        changed(payload=json.loads(EXTRA)["dsseEnvelope"]["payload"]),
        f"model {SHORT} has a signature that key {OWN_ID} did not make.",
    ),
    "of more files": (EXTRA, f'model {SHORT} has a signature that lists an extra file "extra.bin".'),
    "of fewer files": (
        signing.sign(KEY, {"model.onnx": FILES["model.onnx"]}, MANIFEST),
        f'model {SHORT} has a signature that lists no file "deep/golden.json".',
    ),
}


@pytest.mark.parametrize(("bundle", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_is_refused(bundle: bytes | None, text: str) -> None:
    with pytest.raises(StoreError) as caught:
        signing.verify(bundle, PUBLIC, FILES, MANIFEST)
    assert caught.value.reason is Reason.SIGNATURE_INVALID
    assert text in caught.value.message


def test_a_signature_of_another_manifest_is_a_checksum_mismatch() -> None:
    bundle = signing.sign(KEY, FILES, b"{}")
    with pytest.raises(StoreError, match=f"model 44136fa3 has digest {SHORT}") as caught:
        signing.verify(bundle, PUBLIC, FILES, MANIFEST)
    assert caught.value.reason is Reason.CHECKSUM_MISMATCH


def test_a_file_of_another_digest_is_a_checksum_mismatch() -> None:
    bundle = signing.sign(KEY, FILES, MANIFEST)
    with pytest.raises(StoreError, match=f"blob {FILES['model.onnx'][:8]} has digest 00000000") as caught:
        signing.verify(bundle, PUBLIC, {**FILES, "model.onnx": "0" * 64}, MANIFEST)
    assert caught.value.reason is Reason.CHECKSUM_MISMATCH


KEYS = {
    "no key at all": (b"hello", 'no EC P-256 key in "public.pem" of Secret treadle-signing.'),
    "a broken block": (
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        '"public.pem" of Secret treadle-signing holds a broken PEM block.',
    ),
}


@pytest.mark.parametrize(("pems", "text"), KEYS.values(), ids=KEYS.keys())
def test_public_keys_that_are(pems: bytes, text: str) -> None:
    with pytest.raises(StoreError) as caught:
        signing.verify(signing.sign(KEY, FILES, MANIFEST), pems, FILES, MANIFEST)
    assert text in caught.value.message


def test_a_private_key_of_another_curve_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(StoreError, match=r'"private.pem" is another kind of key, expected EC P-256'):
        signing.sign(key, FILES, MANIFEST)


def written(directory: Path) -> tuple[Path, Path, Path]:
    """Write the model and both keys as files; return their paths."""
    model = directory / "model"
    for path, data in {**CONTENT, signing.MANIFEST_PATH: MANIFEST}.items():
        (model / path).parent.mkdir(parents=True, exist_ok=True)
        (model / path).write_bytes(data)
    (directory / "private.pem").write_bytes(KEY)
    (directory / "public.pem").write_bytes(PUBLIC)
    return model, directory / "private.pem", directory / "public.pem"


@pytest.mark.filterwarnings("ignore")  # of the library and of what it imports
def test_the_library_accepts_our_signature(tmp_path: Path) -> None:
    from model_signing import verifying

    model, _, public = written(tmp_path)
    (tmp_path / "model.sig").write_bytes(signing.sign(KEY, FILES, MANIFEST))
    verifying.Config().use_elliptic_key_verifier(public_key=public).verify(model, tmp_path / "model.sig")
    (model / "model.onnx").write_bytes(b"other weights")
    with pytest.raises(ValueError, match=r"Hash mismatch for 'model.onnx'"):
        verifying.Config().use_elliptic_key_verifier(public_key=public).verify(model, tmp_path / "model.sig")


@pytest.mark.filterwarnings("ignore")
def test_we_accept_the_signature_of_the_library(tmp_path: Path) -> None:
    from model_signing import signing as library

    model, private, _ = written(tmp_path)
    library.Config().use_elliptic_key_signer(private_key=private).sign(model, tmp_path / "model.sig")
    bundle = (tmp_path / "model.sig").read_bytes()
    assert signing.verify(bundle, PUBLIC, FILES, MANIFEST) == hashlib.sha256(PUBLIC).hexdigest()
