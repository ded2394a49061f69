"""What persons ask by annotations that hold a digest: each value acts once, and again only after it was taken away."""

from treadle.api.modeldeployment import (
    Candidate,
    Champion,
    HandledDigests,
    LastKnownGood,
    ModelDeployment,
    ModelDeploymentStatus,
)
from treadle.api.names import ANNOTATION_PROMOTE, ANNOTATION_ROLLBACK, ANNOTATION_UNQUARANTINE

FIELDS = {ANNOTATION_PROMOTE: "promote", ANNOTATION_ROLLBACK: "rollback", ANNOTATION_UNQUARANTINE: "unquarantine"}
LONGEST = 253


def asked(md: ModelDeployment, annotation: str) -> str | None:
    """Return the digest that an annotation names, unless it was acted on before."""
    value = _stands(md, annotation)
    return None if value is None or value == _handled(md, annotation) else value


def is_handled(md: ModelDeployment, annotation: str, digest: str) -> bool:
    """Say whether an annotation names this digest and does nothing more, since it was acted on before."""
    return digest == _stands(md, annotation) == _handled(md, annotation)


def handled(md: ModelDeployment, after: ModelDeploymentStatus) -> HandledDigests | None:
    """Return the values that act no more: this pass acted on them, or what they name is past; others wait for it.

    after: the record of this pass.
    """
    was = _digests(md.status.champion, md.status.candidate)
    now = _digests(after.champion, after.candidate)
    past = {row.digest for row in after.quarantined or ()} | _digests(after.last_known_good)
    over = {
        # Its trial ended, however it did: a later one of the same digest is another matter.
        ANNOTATION_PROMOTE: (past | _digests(md.status.candidate, after.champion)) - _digests(after.candidate),
        # What is named as a pass begins is left in it, or the wish is refused.
        ANNOTATION_ROLLBACK: was | (past - now),
    }
    found = {}
    for annotation, field in FIELDS.items():
        value = _stands(md, annotation)
        is_over = annotation == ANNOTATION_UNQUARANTINE or value in over[annotation]
        found[field] = None if value is None else value if is_over else _handled(md, annotation)
    return HandledDigests(**found) if any(found.values()) else None


def _stands(md: ModelDeployment, annotation: str) -> str | None:
    return md.metadata.annotations.get(annotation, "").strip()[:LONGEST] or None


def _handled(md: ModelDeployment, annotation: str) -> str | None:
    record = md.status.handled_digests or HandledDigests()
    found: str | None = getattr(record, FIELDS[annotation])
    return found


def _digests(*held: Champion | Candidate | LastKnownGood | None) -> set[str]:
    return {model.digest for model in held if model is not None}
