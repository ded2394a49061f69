"""Why an API server refuses to make a pod, as the message of its event says it."""

import re
from typing import NamedTuple

from treadle.cli.causes.link import Scene, setting
from treadle.cli.cluster import Object


class Refusal(NamedTuple):
    """A text by which the server refuses, and what to do about it."""

    pattern: re.Pattern[str]
    do: str
    """Filled with the pattern's groups, the namespace, and where the pod's settings are set."""


TABLE = tuple(
    Refusal(re.compile(pattern), do)
    for pattern, do in (
        (
            r"exceeded quota: (?P<quota>[^,]+)",
            "lower {resources}, or raise ResourceQuota/{quota}: kubectl -n {namespace} describe resourcequota {quota}",
        ),
        (
            r"failed quota: (?P<quota>[^:]+): must specify (?P<what>[^;]+?) for",
            "set {what} in {resources}: ResourceQuota/{quota} wants it of every pod",
        ),
        (
            r"(maximum|minimum) \S+ usage per (Container|Pod)|max limit to request ratio",
            "bring {resources} within the LimitRange: kubectl -n {namespace} describe limitrange",
        ),
        (
            r'violates PodSecurity "(?P<level>[^":]+)',
            "take away what the message names: Treadle's own pods are restricted, what a webhook adds to them may not "
            "meet {level}, which Namespace/{namespace} enforces",
        ),
        (
            r'serviceaccount "(?P<account>[^"]+)" not found',
            "create ServiceAccount/{account} with the label treadle.dev/for-runs: 'true', or correct {account_field}",
        ),
        (
            r"no PriorityClass with name (?P<priority>\S+) was found",
            "create PriorityClass/{priority}, or correct {priority_field}",
        ),
        (
            r'admission webhook "(?P<webhook>[^"]+)" denied',
            "satisfy the webhook {webhook}, or ask who runs it for an exception",
        ),
    )
)
"""By the texts of kube-apiserver's plug-ins: ResourceQuota, LimitRanger, PodSecurity, ServiceAccount, Priority."""


def advice(scene: Scene, owner: Object, message: str) -> str:
    """Return what to do about a refusal; empty for a text that is not known."""
    for row in TABLE:
        if (found := row.pattern.search(message)) is not None:
            return row.do.format(
                **found.groupdict(),
                namespace=scene.estate.namespace,
                resources=setting(scene.estate, owner, "pod.resources"),
                account_field=setting(scene.estate, owner, "pod.serviceAccountName"),
                priority_field=setting(scene.estate, owner, "pod.priorityClassName"),
            )
    return ""
