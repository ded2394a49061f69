"""What kstatus, which Flux and Helm use, reads of an object's conditions."""

from collections.abc import Iterable

from treadle.control.engine.ports import Object


def kstatus(conditions: Iterable[Object]) -> str:
    """Return Current, InProgress or Failed, as cli-utils computes it for a custom resource.

    Source: sigs.k8s.io/cli-utils, pkg/kstatus/status: checkGenericProperties, then Ready.
    """
    status = {found["type"]: found["status"] for found in conditions}
    if status.get("Reconciling") == "True":
        return "InProgress"
    if status.get("Stalled") == "True":
        return "Failed"
    return "Current" if status.get("Ready", "True") == "True" else "InProgress"
