"""What kubelet and the controllers write: a status, and that a pod is gone."""

from treadle.control.engine.ports import POD, Gvk, Object
from treadle.local.server.api import MemoryApi
from treadle.local.server.deletion import Policy


async def write_status(api: MemoryApi, gvk: Gvk, raw: Object, status: Object) -> None:
    """Replace the status of this very object, if it is still there and says something else."""
    live = await api.get(gvk, raw["metadata"]["namespace"], raw["metadata"]["name"])
    if live is not None and live["metadata"]["uid"] == raw["metadata"]["uid"] and live.get("status") != status:
        api.put({**live, "status": status})


def take_away(api: MemoryApi, pod: Object) -> None:
    """Let a deleted pod go whose processes have ended, if it is still there."""
    metadata = pod["metadata"]
    live = api.find(POD.kind, metadata["namespace"], metadata["name"])
    if live is not None and live["metadata"]["uid"] == metadata["uid"]:
        api.erase(live, Policy.BACKGROUND, grace_seconds=0)
