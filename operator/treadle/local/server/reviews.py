"""What a user may do here, and who the user is: everything, and the one who started the cluster."""

from typing import Any

type Object = dict[str, Any]

USER = {"username": "local-user", "groups": ["system:masters", "system:authenticated"]}


def answer(kind: str, sent: Object) -> Object:
    """Return a review with its answer."""
    statuses: dict[str, Object] = {
        "SelfSubjectAccessReview": {"allowed": True, "reason": "the embedded cluster is its user's own"},
        "SelfSubjectRulesReview": {
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": False,
        },
        "SelfSubjectReview": {"userInfo": USER},
    }
    return {**sent, "kind": kind, "metadata": sent.get("metadata") or {}, "status": statuses[kind]}
