"""The Jobs that a Monitor wishes: rows for when, a golden file for what."""

from datetime import UTC, datetime

import pytest

from builders import digest, job, monitor, over
from goldens import same
from toys import SETTINGS
from treadle.api.monitor import Monitor
from treadle.control.engine.ports import Object
from treadle.control.jobs import Runs
from treadle.control.monitor.desired import desired
from treadle.control.monitor.due import begun, bounds, size
from treadle.control.monitor.seen import Seen

NOW = datetime(2026, 1, 5, 8, 0, 30, tzinfo=UTC)
EARLY = datetime(2026, 1, 5, 8, 0, 29, tzinfo=UTC)
PLAIN = Monitor.read(monitor())
ATTEMPT = begun(PLAIN, bounds(NOW, size(PLAIN)), digest("a")).dump()
NAME = ATTEMPT["jobName"]


def wished(raw: Object, *jobs: Object, at: datetime = NOW) -> list[Object]:
    return list(desired(Monitor.read(raw), Seen(SETTINGS, Runs(jobs, prefix="treadle/v1/ns-uid/")), at))


RAW = monitor(status={"attempt": ATTEMPT})
LIVE, ENDED = job(RAW, NAME), job(RAW, NAME, status=over())
FINISHED = monitor(status={"attempt": {**ATTEMPT, "finished": True}})
WISHES: dict[str, tuple[Object, list[Object], datetime, list[tuple[str, bool]]]] = {
    "nothing before a window is due": (monitor(), [], NOW, []),
    "the recorded window": (RAW, [], NOW, [(NAME, True)]),
    "not before its log has arrived": (RAW, [], EARLY, []),
    "a Job under way stays": (RAW, [LIVE], NOW, [(NAME, False)]),
    "nothing while suspended": (monitor(suspended=True, status={"attempt": ATTEMPT}), [], NOW, []),
    "not by rules that changed": (monitor(status={"attempt": ATTEMPT}, drift={"alpha": "0.05"}), [], NOW, []),
    "not one that failed, before its retry is recorded": (
        monitor(status={"attempt": {**ATTEMPT, "reason": "AccessDenied"}}), [], NOW, [],
    ),
    "a Job that is over and left no pod goes, to be made again": (RAW, [ENDED], NOW, []),
    "the last Job stays": (FINISHED, [ENDED], NOW, [(NAME, False)]),
    "a judged window makes none": (FINISHED, [], NOW, []),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "jobs", "at", "expected"), WISHES.values(), ids=WISHES.keys())
def test_wishes(raw: Object, jobs: list[Object], at: datetime, expected: list[tuple[str, bool]]) -> None:
    children = wished(raw, *jobs, at=at)
    assert [(child["metadata"]["name"], "template" in child.get("spec", {})) for child in children] == expected


def test_the_monitor_job() -> None:
    same("monitor/plain", wished(RAW)[0])
