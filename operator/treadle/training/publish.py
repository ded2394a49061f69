"""A judged model into the store: blobs, signature, manifest, version number, record, pointer, in this order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from treadle import __version__
from treadle.api.base import Json
from treadle.api.blocks import SigningRef
from treadle.api.names import canonical, sha256
from treadle.api.reasons import Reason
from treadle.api.step import TrainResult, TrainStep
from treadle.api.trainingjob import Environment, Metric, Verdict
from treadle.store import keys
from treadle.store.blobs import put_bytes
from treadle.store.errors import StoreError
from treadle.store.manifest import (
    File,
    claim_version,
    digest_of,
    publish_fit,
    publish_manifest,
    publish_record,
    show_report,
)
from treadle.store.open import read_secret
from treadle.store.pointer import advance_pointer
from treadle.store.port import ObjectStore
from treadle.store.signing import public_of, sign, verify
from treadle.training.fit import fit_recipe
from treadle.training.gate import Judgement
from treadle.training.package import Package

MODEL = "treadle.dev/model/v1"
RECORD = "treadle.dev/run/v1"
CLAIM = "treadle.dev/version/v1"


@dataclass(frozen=True, slots=True)
class Keys:
    """The key pair of a run: its own private key, and every public key whose models it may read."""

    secret: str
    private: bytes
    public: bytes


def signing_keys(step: TrainStep, mounts: Path) -> Keys:
    """Return the keys of the mounted Secret.

    Raises StoreError: SecretNotFound without private.pem, SignatureInvalid for what is no EC P-256 key.
    """
    signing = step.spec.output.signing if step.spec.output is not None else None
    secret = ((signing and signing.secret_ref) or SigningRef()).name
    values = read_secret(mounts / "secrets" / secret)
    if not values.get("private.pem"):
        what = f'no Secret "{secret}"' if not values else f'Secret "{secret}" has no private.pem'
        raise StoreError(
            Reason.SECRET_NOT_FOUND,
            f"{what} in namespace {step.owner.namespace}, by which models are signed. "
            "Create it: kubectl treadle keys create",
        )
    private = values["private.pem"].encode()
    # Models of before a rotation are verified by the keys that public.pem still lists.
    return Keys(secret, private, public_of(private) + values.get("public.pem", "").encode())


def publish_model(
    store: ObjectStore, step: TrainStep, package: Package, fit_key: str, signer: Keys
) -> tuple[str, tuple[File, ...]]:
    """Publish a packaged model; return its digest and files. Equal files that are there already are success."""
    files = stored(store, package.files)
    document: Json = {
        "format": MODEL,
        "fitKey": f"sha256:{fit_key}",
        "data": step.data,
        "estimator": step.spec.estimator.name.value,
        "recipe": fit_recipe(step.spec),
        "primary": {"format": package.format, "path": package.path},
        "files": [file.dump() for file in files],
    }
    data = canonical(document)
    publish_signature(store, signer, {file.path: file.sha256 for file in files}, data, "model")
    digest = publish_manifest(store, "models", document)
    why = {"blocked": package.blocked} if package.blocked else {}
    publish_fit(store, fit_key, {"model": digest, **why})
    return digest, files


def stored(store: ObjectStore, contents: Mapping[str, bytes]) -> tuple[File, ...]:
    """Store files, by path; return how a manifest or record lists them."""
    return tuple(
        File(path, len(data), put_bytes(store, data).removeprefix("sha256:")) for path, data in sorted(contents.items())
    )


def publish_signature(store: ObjectStore, signer: Keys, files: dict[str, str], document: bytes, name: str) -> None:
    """Sign a document before it is visible; a signature that is there stays, if one of our keys made it."""
    digest = digest_of(document)
    key, bundle = keys.signature(digest), sign(signer.private, files, document, name)
    stored = store.put_once(key, bundle)
    if stored.created:
        return
    try:
        verify(stored.data, signer.public, files, document, signer.secret)
    except StoreError:
        # These bytes are our own: an older key signed them before it was retired.
        found = store.get(key)
        store.swap(key, bundle, found.etag if found is not None else None)


def claim(store: ObjectStore, step: TrainStep, digest: str) -> int:
    """Return the version number of this run's model; a repetition of the run gets the same."""
    return claim_version(store, step.spec.model_name, {"format": CLAIM, "model": digest, "run": step.run_key})


def record(
    store: ObjectStore,
    step: TrainStep,
    result: TrainResult,
    signer: Keys,
    *,
    fit_key: str,
    metrics: list[Metric],
    judgement: Judgement,
    files: Iterable[File],
) -> Json:
    """Write down how a run ended, and return what stands there: of two writers, the first's."""
    assert result.model is not None
    document: Json = {
        "format": RECORD,
        "step": "train",
        "run": step.run,
        "modelName": step.spec.model_name,
        "version": int(result.model.version.removeprefix("v")),
        "outcome": result.outcome,
        "model": result.model.digest,
        "fitKey": f"sha256:{fit_key}",
        "data": step.data,
        "cause": step.cause.dump() if step.cause is not None else {},
        "environment": result.environment.dump() if result.environment is not None else {},
        "completedAt": result.completed_at,
        "metrics": [metric.dump() for metric in metrics],
        "gate": {
            **({"champion": step.champion} if step.champion is not None else {}),
            "checks": [check.dump() for check in judgement.checks],
        },
        "result": result.dump(),
        "files": [file.dump() for file in files],
    }
    publish_signature(store, signer, {}, canonical(document), "run")
    return publish_record(store, "train", step.run_key, document)


def finished(store: ObjectStore, step: TrainStep, document: Json) -> TrainResult:
    """Return the result that a run's record holds, with what follows it: the report, and the pointer if it passed."""
    show_report(store, step.run_key, document)
    result = TrainResult.parse(document["result"])
    if result.verdict is Verdict.PROMOTE and result.model is not None:
        number = int(result.model.version.removeprefix("v"))
        advance_pointer(store, "models", step.spec.model_name, result.model.digest, number)
    return result.model_copy(update={"record": digest_of(canonical(document))})


@cache
def environment() -> Environment:
    """Return what runs of this process are made with: installed packages, and Treadle's own version."""
    installed = sorted({f"{found.name}=={found.version}" for found in distributions()})
    return Environment(packages_digest=f"sha256:{sha256(installed)}", source_revision=__version__)
