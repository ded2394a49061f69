"""What trees of processes use of memory, against their limits, as a cgroup would see it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import psutil


def over(limits: Mapping[int, int]) -> dict[int, int]:
    """Return the bytes that each tree uses that uses more than its limit.

    limits: bytes by the pid of a tree's root, which is no part of what it uses.
    """
    below: defaultdict[int, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter(["ppid", "memory_info"]):
        below[process.info["ppid"]].append(process)
    used = {root: _used(_tree(root, below), limit) for root, limit in limits.items()}
    return {root: size for root, size in used.items() if size > limits[root]}


def _tree(root: int, below: Mapping[int, list[psutil.Process]]) -> list[psutil.Process]:
    found, left = [], list(below.get(root, []))
    while left:
        process = left.pop()
        found.append(process)
        left += below.get(process.pid, [])
    return found


def _used(tree: Iterable[psutil.Process], limit: int) -> int:
    """Return what a tree uses; what its processes share is told apart only where that decides."""
    processes = list(tree)
    resident = sum(process.info["memory_info"].rss for process in processes if process.info["memory_info"])
    return resident if resident <= limit else sum(map(_share, processes))


def _share(process: psutil.Process) -> int:
    try:
        # Slow, and exact where pages are shared: pss is known to Linux, uss to all.
        full = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(full, "pss", full.uss))
