"""Notices a blind watch: what we wrote or listed must have come as an event."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from treadle.control.engine.ports import Object

type Identity = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass(slots=True)
class Delivery:
    """Resource versions expected and delivered. `seconds` is how long a watch may take."""

    seconds: float = 60.0
    _delivered: dict[Identity, str] = field(default_factory=dict)
    _expected: dict[Identity, tuple[str, float]] = field(default_factory=dict)

    def delivered(self, identity: Identity, version: str, is_deleted: bool) -> None:
        """Note that a watch told this version of an object."""
        if is_deleted:
            self._delivered.pop(identity, None)
            self._expected.pop(identity, None)
            return
        self._delivered[identity] = version
        wanted = self._expected.get(identity)
        if wanted is not None and is_at_least(version, wanted[0]):
            del self._expected[identity]

    def expect(self, identity: Identity, version: str, now: float) -> None:
        """Expect an event of at least this version, as after a write of ours."""
        if is_at_least(self._delivered.get(identity, ""), version):
            return
        since = self._expected[identity][1] if identity in self._expected else now
        self._expected[identity] = (version, since)

    def forget(self, identity: Identity) -> None:
        """Expect nothing of an object that is gone."""
        self._expected.pop(identity, None)
        self._delivered.pop(identity, None)

    def listed(self, kind: str, objects: Iterable[Object], now: float) -> list[Identity]:
        """Take a list as the truth about a kind; return those that were deleted without a word."""
        present = {}
        for raw in objects:
            metadata = raw["metadata"]
            present[kind, metadata.get("namespace", ""), metadata["name"]] = metadata["resourceVersion"]
        lost = [identity for identity in self._delivered if identity[0] == kind and identity not in present]
        for identity in lost:
            self.forget(identity)
        for identity, version in present.items():
            self.expect(identity, version, now)
        return lost

    def problem(self, now: float) -> str:
        """Return the sentence about the longest silence, empty while all is well."""
        late = [(since, identity) for identity, (_, since) in self._expected.items() if now - since > self.seconds]
        if not late:
            return ""
        since, (kind, namespace, name) = min(late)
        return f"the watch of {kind} is blind: {namespace}/{name} changed {now - since:.0f} s ago and no event told it"


def is_at_least(version: str, wanted: str) -> bool:
    """Compare resource versions, which are comparable as numbers since Kubernetes 1.35."""
    return version.isdigit() and wanted.isdigit() and int(version) >= int(wanted)
