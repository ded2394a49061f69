"""Who owns whom and who refers to whom: from an event to the keys that it concerns."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from treadle.api.names import LABEL_KIND, LABEL_NAME, PLURALS
from treadle.control.engine.ports import Key

KINDS = {plural: kind for kind, plural in PLURALS.items()}

# What an object of each kind refers to: the path in it, and the kind of the target.
REFERENCES: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "DataSource": (),
    "TrainingJob": (
        (("spec", "dataRef", "name"), "DataSource"),
        (("spec", "gate", "against", "deploymentRef", "name"), "ModelDeployment"),
    ),
    "ModelDeployment": ((("spec", "training", "template", "spec", "dataRef", "name"), "DataSource"),),
    "Monitor": ((("spec", "targetRef", "name"), "ModelDeployment"),),
}


@dataclass(slots=True)
class References:
    """An index built from events. It only says whom to wake; what is true, the pass reads."""

    _targets: dict[Key, frozenset[Key]] = field(default_factory=dict)
    _referrers: dict[Key, set[Key]] = field(default_factory=dict)
    _models: dict[Key, tuple[str, str]] = field(default_factory=dict)
    """The namespace and model name of each ModelDeployment."""
    _followers: dict[tuple[str, str], set[Key]] = field(default_factory=dict)

    def keys_for(self, plural: str, namespace: Any, name: Any, body: Any, *, is_gone: bool = False) -> set[Key]:
        """Return the keys that an event concerns; a malformed body gives fewer keys, never an error."""
        if not isinstance(namespace, str) or not isinstance(name, str):
            return set()
        keys = set(_owner(namespace, body))
        kind = KINDS.get(plural)
        if kind is None:
            return keys
        key = Key(kind, namespace, name)
        self._note(key, {} if is_gone else body)
        keys |= {key} | self._referrers.get(key, set())
        if kind == "TrainingJob" and (model := text(body, "spec", "modelName")) is not None:
            keys |= self._followers.get((namespace, model), set())
        if kind == "Monitor":
            keys |= self._targets.get(key, frozenset())
            keys |= {Key(target, namespace, named) for target, named in _named(kind, body)}
        return keys

    def referrers(self, key: Key) -> frozenset[Key]:
        """Return the objects known to refer to this one."""
        return frozenset(self._referrers.get(key, ()))

    def _note(self, key: Key, body: Any) -> None:
        now = frozenset(Key(kind, key.namespace, name) for kind, name in _named(key.kind, body))
        before = self._targets.pop(key, frozenset())
        if now:
            self._targets[key] = now
        for target in before - now:
            _discard(self._referrers, target, key)
        for target in now - before:
            self._referrers.setdefault(target, set()).add(key)
        if key.kind != "ModelDeployment":
            return
        former = self._models.pop(key, None)
        if former is not None:
            _discard(self._followers, former, key)
        if (model := text(body, "spec", "modelName")) is not None:
            self._models[key] = (key.namespace, model)
            self._followers.setdefault((key.namespace, model), set()).add(key)


def text(body: Any, *path: str) -> str | None:
    """Return the string at a path, or None where there is anything else."""
    for step in path:
        # kopf's bodies are read-only mappings, not dicts.
        try:
            body = body[step]
        except (KeyError, TypeError, IndexError):
            return None
    return body if isinstance(body, str) and body else None


def _named(kind: str, body: Any) -> Iterator[tuple[str, str]]:
    if kind == "TrainingJob" and text(body, "status", "completionTime") is not None:
        return  # A finished run waits for nothing.
    for path, target in REFERENCES[kind]:
        if (name := text(body, *path)) is not None:
            yield target, name


def _owner(namespace: str, body: Any) -> Iterator[Key]:
    kind, name = text(body, "metadata", "labels", LABEL_KIND), text(body, "metadata", "labels", LABEL_NAME)
    if kind in PLURALS and name is not None:
        yield Key(kind, namespace, name)


def _discard[K](index: dict[K, set[Key]], at: K, key: Key) -> None:
    keys = index.get(at, set())
    keys.discard(key)
    if not keys:
        index.pop(at, None)
