"""The Jobs that a TrainingJob wishes: rows for when, golden files for what."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders import condition, digest, job, over, training_job
from goldens import same
from toys import SETTINGS
from treadle.api.trainingjob import TrainingJob
from treadle.control.engine.ports import Object
from treadle.control.jobs import Runs
from treadle.control.trainingjob.desired import desired
from treadle.control.trainingjob.observe import Seen

NOW = datetime(2026, 1, 5, 8, 10, tzinfo=UTC)
NAME = "first-0123456789"
RECORD = {
    "jobName": NAME, "retries": 1, "runKey": "5" * 64, "champion": digest("a"),
    "data": {"digest": digest("d"), "short": "d" * 12},
}  # fmt: skip
SHORT = {**RECORD, "conditions": [condition("DataResolved", "False", "NotEnoughLabelledRows")]}
DONE = {**RECORD, "completionTime": "2026-01-05T08:05:00Z"}


def wished(raw: Object, *jobs: Object) -> list[Object]:
    return list(desired(TrainingJob.read(raw), Seen(SETTINGS, Runs(jobs, prefix="treadle/v1/ns-uid/")), NOW))


def told(children: list[Object]) -> list[tuple[str, str]]:
    """Return the names, and what is wished of each: made, held, going or kept."""
    words = []
    for child in children:
        spec = child.get("spec", {})
        word = "made" if "template" in spec else {True: "held", False: "going", None: "kept"}[spec.get("suspend")]
        words.append((child["metadata"]["name"], word))
    return words


RAW = training_job(status=RECORD)
HELD = training_job(status=RECORD, suspended=True)
LIVE, ENDED = job(RAW, NAME), job(RAW, NAME, status=over("Failed"))
WISHES: dict[str, tuple[Object, list[Object], list[tuple[str, str]]]] = {
    "nothing before the version is resolved": (training_job(), [], []),
    "the recorded run": (RAW, [], [(NAME, "made")]),
    "a run under way goes on": (RAW, [LIVE], [(NAME, "going")]),
    "nothing while it is held": (HELD, [], []),
    "a run under way is held": (HELD, [LIVE], [(NAME, "held")]),
    "a Job that is over and left no pod goes, to be made again": (RAW, [ENDED], []),
    "nothing for a version that is short of rows": (training_job(status=SHORT), [], []),
    "the Job of a finished run stays": (training_job(status=DONE), [ENDED], [(NAME, "kept")]),
    "a finished run makes none": (training_job(status=DONE), [], []),
    "earlier attempts stay": (
        RAW, [LIVE, job(RAW, "first-former", status=over("Failed"))], [(NAME, "going"), ("first-former", "kept")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "jobs", "expected"), WISHES.values(), ids=WISHES.keys())
def test_wishes(raw: Object, jobs: list[Object], expected: list[tuple[str, str]]) -> None:
    assert told(wished(raw, *jobs)) == expected


GOLDEN: dict[str, dict[str, Any]] = {
    "plain": {},
    "generated": {
        "against": "flights-late",
        "dataRef": {"name": "flights", "version": digest("d"), "window": {"since": "2013-06-24T00:00:00Z"}},
        "trigger": {"kind": "Monitor", "ref": {"kind": "Monitor", "name": "m", "uid": "u"}, "id": "4be1",
                    "reason": "DriftDetected"},
        "output": {"signing": {"secretRef": {"name": "treadle-sign-b"}}},
        "storeRef": {"name": "treadle-other"},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_the_train_job(name: str) -> None:
    same(f"trainingjob/{name}", wished(training_job(status=RECORD, **GOLDEN[name]))[0])
