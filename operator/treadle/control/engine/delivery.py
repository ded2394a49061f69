"""Notices a blind watch: what we wrote or listed must have come as an event."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from treadle.control.engine.ports import Object

type Identity = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A version that a watch has to tell, since when, and whether we wrote it."""

    version: str
    since: float
    is_written: bool


@dataclass(slots=True)
class Delivery:
    """Resource versions expected and delivered. `seconds` is how long a watch may take."""

    seconds: float = 60.0
    _delivered: dict[Identity, str] = field(default_factory=dict)
    _expected: dict[Identity, Expected] = field(default_factory=dict)

    def delivered(self, identity: Identity, version: str, is_deleted: bool) -> bool:
        """Note that a watch told this version; say whether it is the echo of our own last write."""
        wanted = self._expected.get(identity)
        if is_deleted:
            self.forget(identity)
            return False
        self._delivered[identity] = version
        if wanted is None:
            return False
        if is_at_least(version, wanted.version):
            del self._expected[identity]
        return wanted.is_written and version == wanted.version

    def expect(self, identity: Identity, version: str, now: float, *, is_written: bool = True) -> None:
        """Expect an event of at least this version, as after a write of ours."""
        if is_at_least(self._delivered.get(identity, ""), version):
            return
        before = self._expected.get(identity)
        self._expected[identity] = Expected(version, before.since if before else now, is_written)

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
            self.expect(identity, version, now, is_written=False)
        return lost

    def problem(self, now: float) -> str:
        """Return the sentence about the longest silence, empty while all is well."""
        late = [
            (wanted.since, identity) for identity, wanted in self._expected.items() if now - wanted.since > self.seconds
        ]
        if not late:
            return ""
        since, (kind, namespace, name) = min(late)
        return f"the watch of {kind} is blind: {namespace}/{name} changed {now - since:.0f} s ago and no event told it"


def is_at_least(version: str, wanted: str) -> bool:
    """Compare resource versions, which are comparable as numbers since Kubernetes 1.35."""
    return version.isdigit() and wanted.isdigit() and int(version) >= int(wanted)
