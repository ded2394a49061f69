"""An object of ours in a file, as far as it can be told which."""

from dataclasses import dataclass

from treadle.cli.manifests.document import Document
from treadle.cli.manifests.finding import Finding, Weight

NAMESPACE = "default"
"""Of an object that names none: what is compared is whether two are in the same."""


@dataclass(frozen=True, slots=True)
class Ours:
    """An object of one of the four kinds."""

    document: Document
    kind: str
    name: str
    """Empty where it has none, or none that is a text."""
    namespace: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" if self.name else f"this {self.kind}"

    def says(self, text: str, field: str = "", weight: Weight = Weight.ERROR) -> Finding:
        """Return a finding on a field of it."""
        at = self.document
        return Finding(at.file, at.line_of(field), weight, text, field, self.kind, self.name)


def ours_of(document: Document) -> Ours:
    """Return a document of one of the four kinds with its name."""
    metadata = document.raw.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    name, namespace = named.get("name"), named.get("namespace")
    return Ours(
        document,
        document.raw["kind"],
        name if isinstance(name, str) else "",
        namespace if isinstance(namespace, str) and namespace else NAMESPACE,
    )
