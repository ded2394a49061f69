"""What is stored instead of personal values; strictly before the first write."""

import hashlib
import hmac
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from treadle.api.blocks import PrivacyRef
from treadle.api.datasource import ColumnType, DataSourceSpec, PrivacyAction, Role
from treadle.api.reasons import Reason
from treadle.data.refused import Refused, invalid
from treadle.data.transform import Field, Shaped
from treadle.store.open import read_secret

KEY = "hash.key"
KEY_BYTES = 16  # NIST SP 800-107: a key of half the hash's length gives its full strength against forgery


@dataclass(frozen=True, slots=True)
class Protected:
    """Rows without personal values that a policy covers.

    actions: by column, what was done. key_id: which key made the pseudonyms, None where there are none.
    """

    table: pa.Table
    fields: tuple[Field, ...]
    actions: dict[str, PrivacyAction]
    key_id: str | None

    @property
    def protected(self) -> list[str]:
        """Return the columns whose values are hashed or gone."""
        return [name for name, action in self.actions.items() if action is not PrivacyAction.KEEP]


def protect(shaped: Shaped, spec: DataSourceSpec, mounts: Path) -> Protected:
    """Return the rows as they may be stored: keyed HMAC-SHA256 for Hash, no column for Drop.

    Raises Refused: PrivacyKeyMissing without a key, InvalidSpec for a column that cannot do without its values.
    """
    policies = (spec.privacy.policies if spec.privacy is not None else None) or []
    chosen = {policy.classification: policy.action for policy in policies}
    actions = {
        field.name: action for field in shaped.fields if (action := chosen.get(field.classification.value)) is not None
    }
    key = read_key(spec, mounts) if PrivacyAction.HASH in actions.values() else None
    table, fields = shaped.table, []
    for field in shaped.fields:
        action = actions.get(field.name, PrivacyAction.KEEP)
        if action is PrivacyAction.KEEP:
            fields.append(field)
            continue
        needs_values(field, action, spec)
        index = table.column_names.index(field.name)
        if action is PrivacyAction.DROP:
            table = table.remove_column(index)
            continue
        table = table.set_column(index, field.name, pseudonyms(table.column(index), key or b""))
        fields.append(replace(field, column=field.column.model_copy(update={"type": ColumnType.STRING})))
    return Protected(table, tuple(fields), actions, key_id(key) if key is not None else None)


def read_key(spec: DataSourceSpec, mounts: Path) -> bytes:
    """Return the key of pseudonyms; raise Refused (PrivacyKeyMissing) where it is missing or too short."""
    reference = spec.privacy.secret_ref if spec.privacy is not None else None
    name = (reference or PrivacyRef()).name
    key = read_secret(mounts / "secrets" / name).get(KEY, "").encode()
    if len(key) < KEY_BYTES:
        found = f"has {len(key)} bytes" if key else "is missing"
        raise Refused(
            "PrivacyApplied",
            Reason.PRIVACY_KEY_MISSING,
            f"{KEY} {found} in Secret {name}, a policy with action Hash needs {KEY_BYTES} or more. "
            "Add the key to the Secret",
        )
    return key


def key_id(key: bytes) -> str:
    """Return sixteen hex digits that name a key and do not give it away."""
    return hmac.new(key, b"treadle.dev/key-id", hashlib.sha256).hexdigest()[:16]


def pseudonym(text: str, key: bytes) -> str:
    """Return the 64 hex digits that stand for a value: HMAC-SHA256 of its text in UTF-8."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def pseudonyms(values: pa.ChunkedArray, key: bytes) -> pa.Array:
    """Return a column's pseudonyms; nulls stay null, and equal values have equal pseudonyms."""
    encoded = pc.dictionary_encode(pc.cast(values, pa.string())).combine_chunks()
    table = pa.array([pseudonym(text, key) for text in encoded.dictionary.to_pylist()], pa.string())
    return table.take(encoded.indices)


def needs_values(field: Field, action: PrivacyAction, spec: DataSourceSpec) -> None:
    """Raise Refused (InvalidSpec) for a column whose values are used after they would be gone."""
    time = spec.split.time_column if spec.split is not None else None
    used = {Role.TARGET: "target", Role.TIME: "time", Role.WEIGHT: "weight"}.get(field.role)
    if field.name == time:
        used = "split.timeColumn"
    if field.role is Role.ID and action is PrivacyAction.DROP:
        used = "id"
    if used is not None:
        where = f'privacy of column "{field.name}"'
        raise invalid(
            "PrivacyApplied",
            where,
            f"it is {used} and {field.classification.value}, {action.value} would lose it; "
            "classify it otherwise, or choose Keep",
        )
