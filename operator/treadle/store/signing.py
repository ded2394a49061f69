"""Sign a manifest and its files, and verify them: the OpenSSF model-signing bundle in key mode."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from treadle.api.base import Json
from treadle.api.names import canonical
from treadle.api.reasons import Reason
from treadle.store.errors import StoreError, brief, wrong_digest
from treadle.store.manifest import digest_of

# sigstore/model-transparency 1.1.1, src/model_signing/_signing: signing.py, sign_ec_key.py, sign_sigstore_pb.py.
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MANIFEST_PATH = "manifest.json"

CURVE = ec.SECP256R1()
HASH = ec.ECDSA(hashes.SHA256())
PEM = re.compile(rb"-----BEGIN (PUBLIC KEY|CERTIFICATE)-----.*?-----END \1-----", re.DOTALL)


def new_key() -> bytes:
    """Return a new private key as PEM (EC P-256, PKCS#8)."""
    return ec.generate_private_key(CURVE).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_of(private_pem: bytes) -> bytes:
    """Return the public key of a private one, as PEM."""
    return public_pem(_private(private_pem).public_key())


def key_id(public: bytes) -> str:
    """Return the 64 hex digits by which a bundle names its key: SHA-256 of the public key's PEM."""
    return hashlib.sha256(public).hexdigest()


def sign(private_pem: bytes, files: Mapping[str, str], manifest: bytes, name: str = "model") -> bytes:
    """Return the bundle that signs a manifest and the files it lists.

    private_pem: EC P-256, SEC1 or PKCS#8, without a password.
    files: path to SHA-256, 64 hex digits. manifest: its bytes as stored; it is signed as `manifest.json`.
    """
    key = _private(private_pem)
    payload = canonical(statement(files, manifest, name))
    return canonical(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": key_id(public_pem(key.public_key()))},
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(key.sign(envelope(payload), HASH)).decode(), "keyid": ""}],
            },
        }
    )


def verify(
    bundle: bytes | None, public_pems: bytes, files: Mapping[str, str], manifest: bytes, secret: str = "treadle-signing"
) -> str:
    """Return the id of the key that signed exactly this manifest and these files; raise StoreError for all else.

    bundle: None where there is no signature. public_pems: PEM public keys or certificates, one after the other; of a
    certificate only the key counts. files, manifest: as in `sign`.
    """
    digest = digest_of(manifest)
    if bundle is None:
        raise invalid(digest, "has no signature", "Sign it by training again with private.pem, or retrain")
    hint, payload, signature = _opened(bundle, digest)
    keys = public_keys(public_pems, secret)
    key = keys.get(hint)
    if key is None:
        raise invalid(
            digest, f"is signed by unknown key {brief(hint)}", f'Add it to "public.pem" of Secret {secret}, or retrain'
        )
    try:
        key.verify(signature, envelope(payload), HASH)
    except InvalidSignature as error:
        raise invalid(digest, f"has a signature that key {brief(hint)} did not make", "Retrain") from error
    _compare(_listed(payload, digest), expected(files, manifest), digest)
    return hint


def statement(files: Mapping[str, str], manifest: bytes, name: str) -> Json:
    """Return the in-toto statement of files and manifest, in the order of their paths."""
    listed = expected(files, manifest)
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in sorted(listed.items())))
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": root.hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []},
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": digest} for path, digest in sorted(listed.items())
            ],
        },
    }


def expected(files: Mapping[str, str], manifest: bytes) -> dict[str, str]:
    """Return all that a signature must list; raise ValueError for a file that would hide the manifest."""
    if MANIFEST_PATH in files:
        raise ValueError(f"{MANIFEST_PATH} names the manifest; no file may have that path")
    return {**files, MANIFEST_PATH: hashlib.sha256(manifest).hexdigest()}


def envelope(payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def public_keys(pems: bytes, secret: str = "treadle-signing") -> dict[str, ec.EllipticCurvePublicKey]:
    """Return the EC P-256 keys of PEM text by their ids; raise StoreError (SignatureInvalid) for none."""
    found = {}
    for match in PEM.finditer(pems):
        try:
            if match[1] == b"CERTIFICATE":
                key: Any = x509.load_pem_x509_certificate(match[0]).public_key()
            else:
                key = serialization.load_pem_public_key(match[0])
        except ValueError as error:
            raise StoreError(
                Reason.SIGNATURE_INVALID, f'"public.pem" of Secret {secret} holds a broken PEM block. Replace it'
            ) from error
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == CURVE.name:
            found[key_id(public_pem(key))] = key
    if not found:
        raise StoreError(
            Reason.SIGNATURE_INVALID,
            f'no EC P-256 key in "public.pem" of Secret {secret}. Create it: kubectl treadle keys create',
        )
    return found


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def invalid(digest: str, what: str, advice: str) -> StoreError:
    """Return the error of a signature that proves nothing."""
    return StoreError(Reason.SIGNATURE_INVALID, f"model {brief(digest)} {what}. {advice}")


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    advice = "expected EC P-256 without a password. Create it: kubectl treadle keys create"
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise StoreError(Reason.SIGNATURE_INVALID, f'"private.pem" is no PEM key, {advice}') from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != CURVE.name:
        raise StoreError(Reason.SIGNATURE_INVALID, f'"private.pem" is another kind of key, {advice}')
    return key


def _opened(bundle: bytes, digest: str) -> tuple[str, bytes, bytes]:
    """Return key id, payload and signature of a bundle; nothing in it is believed yet."""
    try:
        document: Any = json.loads(bundle)
        material, dsse = document["verificationMaterial"], document["dsseEnvelope"]
        if document["mediaType"] != BUNDLE_TYPE or dsse["payloadType"] != PAYLOAD_TYPE or len(dsse["signatures"]) != 1:
            raise ValueError("another type of bundle")
        hint = str(material["publicKey"]["hint"])
        signature = base64.b64decode(dsse["signatures"][0]["sig"], validate=True)
        return hint, base64.b64decode(dsse["payload"], validate=True), signature
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise invalid(digest, "has a signature that is no model-signing bundle in key mode", "Retrain") from error


def _listed(payload: bytes, digest: str) -> dict[str, str]:
    """Return what a signed statement lists, path to SHA-256."""
    try:
        document: Any = json.loads(payload)
        if document["_type"] != STATEMENT_TYPE or document["predicateType"] != PREDICATE_TYPE:
            raise ValueError("another type of statement")
        resources = document["predicate"]["resources"]
        listed = {str(item["name"]): str(item["digest"]) for item in resources}
        if len(listed) != len(resources) or any(item["algorithm"] != "sha256" for item in resources):
            raise ValueError("ambiguous")
        return listed
    except (ValueError, KeyError, TypeError) as error:
        raise invalid(digest, "has a signed statement that lists no files", "Retrain") from error


def _compare(listed: dict[str, str], wanted: dict[str, str], digest: str) -> None:
    """Raise unless the statement lists exactly what the manifest does, with equal digests."""
    if other := sorted(set(listed) ^ set(wanted)):
        side = "lists no" if other[0] in wanted else "lists an extra"
        raise invalid(digest, f'has a signature that {side} file "{other[0]}"', "Retrain")
    if listed[MANIFEST_PATH] != wanted[MANIFEST_PATH]:
        raise wrong_digest("model", listed[MANIFEST_PATH], wanted[MANIFEST_PATH])
    if changed := [path for path in sorted(wanted) if listed[path] != wanted[path]]:
        raise wrong_digest("blob", listed[changed[0]], wanted[changed[0]])
