"""A registered model, read back as a server reads it: its signature and digests first, then its bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from treadle.api.artifacts import SCHEMA_FILE, ModelSchema
from treadle.api.base import Json
from treadle.api.datasource import ColumnType
from treadle.api.reasons import Reason
from treadle.store import keys
from treadle.store.blobs import get_bytes
from treadle.store.errors import StoreError
from treadle.store.manifest import File, files_of, manifest_bytes
from treadle.store.port import ObjectStore
from treadle.store.signing import verify
from treadle.training.errors import Unscorable
from treadle.training.opened import Opened, Unopened, open_model

OF_THE_MODEL = frozenset({Reason.ARTIFACT_MISSING, Reason.CHECKSUM_MISMATCH, Reason.SIGNATURE_INVALID})
"""What a model is to blame for; any other error of the store is the world's."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A model version of the store, verified."""

    digest: str
    format: str
    files: tuple[File, ...]
    opened: Opened


def read_model(store: ObjectStore, digest: str, public_pems: bytes, secret: str) -> Registered:
    """Return a model whose signature holds; raise Unscorable for any other, StoreError for a store that is away."""
    try:
        data = manifest_bytes(store, "models", digest)
        document: Json = json.loads(data)
        files = files_of(document)
        listed = {file.path: file.sha256 for file in files}
        bundle = store.get(keys.signature(digest))
        verify(bundle.data if bundle is not None else None, public_pems, listed, data, secret)
        form, path = document["primary"]["format"], document["primary"]["path"]
        if form not in ("onnx", "skops"):
            raise Unscorable(f"its format is {form!r}, known are onnx and skops")
        schema = ModelSchema.model_validate_json(get_bytes(store, listed[SCHEMA_FILE]))
        opened = open_model(get_bytes(store, listed[path]), form, schema)
    except StoreError as error:
        if error.reason not in OF_THE_MODEL:
            raise
        raise Unscorable(error.message.rpartition(" docs: ")[0]) from error
    except Unopened as error:
        raise Unscorable(str(error)) from error
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise Unscorable(
            f"its manifest or schema is not of this version of Treadle ({type(error).__name__})"
        ) from error
    return Registered(digest, form, tuple(files), opened)


def comparable(champion: ModelSchema, challenger: ModelSchema, types: Mapping[str, ColumnType]) -> None:
    """Raise Unscorable unless a champion answers the same question, from columns that the rows have."""
    if champion.task is not challenger.task:
        raise Unscorable(f"its task is {champion.task.value}, this run's is {challenger.task.value}")
    if champion.classes != challenger.classes:
        raise Unscorable(f"its classes are {_brief(champion.classes)}, this run's {_brief(challenger.classes)}")
    for column in champion.inputs:
        if column.name not in types:
            raise Unscorable(f"it takes column {column.name!r}, which this dataset lacks; keep that column")
        if types[column.name] is not column.type:
            raise Unscorable(
                f"it takes column {column.name!r} as {column.type.value}, this dataset has {types[column.name].value}"
            )


def _brief(classes: list[str]) -> str:
    return ", ".join(classes)[:60]
