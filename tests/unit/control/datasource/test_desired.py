"""The Jobs that a DataSource wishes: rows for when, golden files for what."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders import data_source, job, over
from goldens import same
from toys import SETTINGS
from treadle.api.datasource import DataSource
from treadle.control.datasource.desired import desired
from treadle.control.datasource.observe import Seen
from treadle.control.engine.ports import Object
from treadle.control.jobs import Runs

NOW = datetime(2026, 1, 5, 8, 10, tzinfo=UTC)
NAME = "flights-0123456789"
ATTEMPT = {"jobName": NAME, "runKey": "5" * 64, "generation": 1, "startTime": "2026-01-05T08:00:00Z"}
DONE = {**ATTEMPT, "completionTime": "2026-01-05T08:05:00Z", "result": "Published"}
OLD = [f"flights-old{number}" for number in range(5)]


def wished(raw: Object, *jobs: Object) -> list[Object]:
    return list(desired(DataSource.read(raw), Seen(SETTINGS, Runs(jobs, prefix="treadle/v1/ns-uid/")), NOW))


def names(children: list[Object]) -> list[tuple[str, bool]]:
    """Return the names, and whether each is made, not only kept."""
    return [(child["metadata"]["name"], "template" in child.get("spec", {})) for child in children]


RUNNING = data_source(status={"lastAttempt": ATTEMPT})
SETTLED = data_source(current="d", status={"lastAttempt": DONE})
FINISHED = [
    job(RUNNING, name, created=f"2026-01-0{index + 1}T00:00:00Z", status=over()) for index, name in enumerate(OLD)
]
WISHES: dict[str, tuple[Object, list[Object], list[tuple[str, bool]]]] = {
    "nothing before a fetch is recorded": (data_source(), [], []),
    "the recorded fetch": (RUNNING, [], [(NAME, True)]),
    "a fetch under way stays": (RUNNING, [job(RUNNING, NAME)], [(NAME, False)]),
    "nothing while suspended": (data_source(suspended=True, status={"lastAttempt": ATTEMPT}), [], []),
    "a running fetch goes on while suspended": (
        data_source(suspended=True, status={"lastAttempt": ATTEMPT}), [job(RUNNING, NAME)], [(NAME, False)],
    ),
    "a fetch of a former spec is not made": (
        data_source(status={"lastAttempt": ATTEMPT}, metadata={"generation": 2}), [], [],
    ),
    "a Job that is over and left no pod goes, to be made again": (
        RUNNING, [job(RUNNING, NAME, status=over("Failed"))], [],
    ),
    "the last Job stays, and the three newest others": (
        SETTLED, [job(SETTLED, NAME, status=over()), *FINISHED],
        [(NAME, False), ("flights-old4", False), ("flights-old3", False), ("flights-old2", False)],
    ),
    "a running Job that nobody recorded goes": (SETTLED, [job(SETTLED, "flights-stray")], []),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "jobs", "expected"), WISHES.values(), ids=WISHES.keys())
def test_wishes(raw: Object, jobs: list[Object], expected: list[tuple[str, bool]]) -> None:
    assert names(wished(raw, *jobs)) == expected


GOLDEN: dict[str, dict[str, Any]] = {
    "s3": {},
    "inline": {"inline": True},
    "http": {
        "source": {"http": {"url": "https://example.com/f.csv", "secretRef": {"name": "treadle-web"},
                            "caRef": {"name": "web-ca"}}},
    },
    "pod": {
        "jobTemplate": {
            "backoffLimit": 1, "ttlSecondsAfterFinished": 0,
            "pod": {"resources": {"requests": {"cpu": "1"}, "limits": {"memory": "4Gi"}}, "labels": {"team": "x"},
                    "nodeSelector": {"disk": "ssd"}, "serviceAccountName": "runs"},
        },
        "privacy": {"policies": [{"classification": "personal", "action": "Hash"}]},
        "storeRef": {"name": "treadle-other"},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_the_ingest_job(name: str) -> None:
    raw = data_source(current="c", status={"lastAttempt": {**ATTEMPT, "attempt": 2}}, **GOLDEN[name])
    same(f"datasource/{name}", wished(raw)[0])
