"""A model from the store to a private directory, verified, by a child: its libraries and key leave with it.

`python -m treadle.serving.fetch` reads an Order as JSON on standard input and writes a Fetched to standard output.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from treadle.api.artifacts import GOLDEN_FILE, MODEL_ONNX, MODEL_SKOPS, SCHEMA_FILE
from treadle.api.base import Json
from treadle.api.conditions import line
from treadle.api.modeldeployment import VerificationPolicy
from treadle.api.reasons import Reason
from treadle.serving.children import FINAL, Fetched, Order
from treadle.serving.load import Rejected
from treadle.store import blobs, keys
from treadle.store.errors import StoreError
from treadle.store.manifest import File, files_of, manifest_bytes
from treadle.store.open import open_store
from treadle.store.port import ObjectStore
from treadle.store.signing import verify

MODEL_LIMIT_BYTES = 1 << 30
NEEDED = (SCHEMA_FILE, GOLDEN_FILE)
PRIMARY = {"onnx": MODEL_ONNX, "skops": MODEL_SKOPS}


def fetch(order: Order) -> Fetched:
    """Fetch and verify one model; nothing is parsed before its digest matched."""
    try:
        store = open_store(Path(order.secret_directory), order.secret, order.prefix, order.namespace)
        manifest = manifest_bytes(store, "models", order.digest)
        document = parsed(manifest)
        files = listed(document)
        unproven = signature_problem(store, order, manifest, files)
        if unproven is not None and order.policy == VerificationPolicy.ENFORCE:
            raise unproven
        chosen, primary = primary_of(document, files)
        needed = {file.path: file.sha256 for file in files if file.path in (*NEEDED, primary)}
        for path, sha256 in needed.items():
            blobs.fetch_file(store, f"sha256:{sha256}", Path(order.target) / path)
    except Rejected as error:
        return Fetched(outcome="Refused", reason=error.reason, message=line(error.message))
    except StoreError as error:
        return Fetched(
            outcome="Refused" if error.reason in FINAL else "Away", reason=error.reason, message=error.message
        )
    passed = line(f"policy Warn let it pass: {unproven.message}") if unproven is not None else ""
    return Fetched(
        outcome="Ready",
        reason=Reason.NOT_ENFORCED if passed else None,
        message=passed,
        format=chosen,
        primary=primary,
        sha256=needed,
    )


def listed(document: Json) -> list[File]:
    """Return the files of a manifest; raise Rejected for a list that is none."""
    try:
        return files_of(document)
    except (KeyError, TypeError, ValueError) as error:
        raise Rejected(Reason.FORMAT_REFUSED, f"its manifest lists no files: {error}. Train it again") from error


def parsed(manifest: bytes) -> Json:
    """Return the manifest of a model; raise Rejected for any other document."""
    try:
        document = json.loads(manifest)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("format") != "treadle.dev/model/v1":
        raise Rejected(Reason.FORMAT_REFUSED, "it is no manifest of format treadle.dev/model/v1; train it again")
    return document


def primary_of(document: Json, files: Sequence[File]) -> tuple[Literal["onnx", "skops"], str]:
    """Return format and path of the file that answers; raise Rejected unless both are of the two that are opened."""
    primary = document.get("primary")
    declared = primary.get("format") if isinstance(primary, dict) else None
    path = primary.get("path") if isinstance(primary, dict) else None
    if declared not in ("onnx", "skops") or path != PRIMARY[declared]:
        raise Rejected(Reason.FORMAT_REFUSED, f"format {str(declared)[:32]!r} is not onnx or skops; train it again")
    sizes = {file.path: file.size_bytes for file in files}
    for name in (*NEEDED, path):
        if name not in sizes:
            raise Rejected(Reason.FORMAT_REFUSED, f"its manifest lists no {name}; train it again")
    size = sum(sizes[name] for name in (*NEEDED, path))
    if size > MODEL_LIMIT_BYTES:
        raise Rejected(
            Reason.FORMAT_REFUSED, f"it has {size} bytes, allowed are {MODEL_LIMIT_BYTES}; train a smaller one"
        )
    return declared, path


def signature_problem(store: ObjectStore, order: Order, manifest: bytes, files: Sequence[File]) -> StoreError | None:
    """Return the error of a signature that does not hold; None if it does."""
    public = Path(order.public_keys)
    try:
        if not public.is_file():
            raise StoreError(
                Reason.SECRET_NOT_FOUND,
                f'no "public.pem" in Secret "{order.signing_secret}". Create it: kubectl treadle keys create',
            )
        bundle = store.get(keys.signature(order.digest))
        promised = {file.path: file.sha256 for file in files}
        verify(None if bundle is None else bundle.data, public.read_bytes(), promised, manifest, order.signing_secret)
    except StoreError as error:
        if error.reason in (*FINAL, Reason.SECRET_NOT_FOUND):
            return error
        raise
    return None


def main() -> int:
    """Fetch what standard input orders."""
    try:
        order = Order.model_validate_json(sys.stdin.buffer.read())
    except ValidationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(fetch(order).model_dump_json(by_alias=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
