"""`treadle wait`: what each state of an object means for it, and its exit codes by scripted watches."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from answers import Answers, Asked, events, kubeconfig, listed, served, status
from builders import condition, digest, model_deployment, training_job
from situations import SITUATIONS
from treadle.cli.cluster import ours
from treadle.cli.wait import DONE, FAILED, HELD, TIMED_OUT, End, Wish, ended, parsed, wait

GOES_ON = None
# What the default waiting makes of each situation of api.md, section 3, for the object that the row is about.
SITUATION_ENDS = {
    "a DataSource fetches its first version": GOES_ON,
    "a version is published": (DONE, "VersionPublished"),
    "new bytes are refused while an older version is in use": (DONE, "ServingPreviousVersion"),
    "the source is refused and there is no version": (FAILED, "AccessDenied"),
    "a TrainingJob waits for data": GOES_ON,
    "a TrainingJob is suspended": GOES_ON,
    "a TrainingJob runs": GOES_ON,
    "a run passed the gate": (DONE, "PassedGate"),
    "a run is held by the gate": (HELD, "HeldByGate"),
    "a run that the world hinders is tried again": (FAILED, "BucketNotFound"),
    "a run failed for good": (FAILED, "OneClassTarget"),
    "a ModelDeployment is without a model": GOES_ON,
    "a canary comes of a retrain": (DONE, "Answering"),
    "a canary comes of a spec change": GOES_ON,
    "a canary is held for lack of traffic": (DONE, "Answering"),
    "rolled back, the old version serving": (DONE, "RolledBack"),
    "a candidate is corrupt or unsigned": (DONE, "RolledBack"),
    "the candidate is unsigned and nothing serves": (FAILED, "SignatureInvalid"),
    "all pods are gone": GOES_ON,
    "a Monitor finds drift": (DONE, "Watching"),
    "a Monitor has too few samples": (DONE, "Watching"),
    "a retrain is wanted and blocked": (DONE, "Watching"),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_of_the_table(name: str) -> None:
    situation = SITUATIONS[name]()
    end = ended(next(each for each in situation.objects if each["kind"] == situation.kind), Wish())
    assert (end and (end.code, end.reason)) == SITUATION_ENDS[name]
    assert end is None or "docs: reasons/" not in end.message


def run(*conditions: Any, generation: int = 1) -> Any:
    record = {"observedGeneration": 1, "conditions": list(conditions)}
    return training_job(status=record, metadata={"generation": generation})


COMPLETE = condition("Complete", "True", "PassedGate", "average_precision 0.861. docs: reasons/PassedGate")
PINNED = {"version": "v2", "digest": digest("b")}
QUARANTINE = [{"digest": digest("b"), "reason": "ErrorRateHigher", "until": "2026-02-04T08:00:00Z"},
              {"digest": digest("c"), "reason": "HeldByGate", "until": "2026-02-04T08:00:00Z"}]  # fmt: skip


def deployment(**record: Any) -> Any:
    return model_deployment(status={"observedGeneration": 1, **record})


WISHES: dict[str, tuple[Any, Wish, End | None]] = {
    "a condition that holds": (
        run(condition("Trained", "True", "Trained")), Wish("Trained"), End(DONE, "Trained", ""),
    ),
    "a condition that is to be False": (
        run(condition("GatePassed", "False", "NotBetter")), Wish("GatePassed", "False"), End(DONE, "NotBetter", ""),
    ),
    "Failed itself": (run(condition("Failed", "True", "DataGone")), Wish("Failed"), End(DONE, "DataGone", "")),
    "a condition that is not there": (run(), Wish("Trained"), None),
    "a verdict about another generation": (run(COMPLETE, generation=2), Wish(), None),
    "an object that nobody has looked at": (training_job(), Wish(), None),
    "a run that is over without what was wished": (
        run(COMPLETE), Wish("GatePassed", "False"), End(FAILED, "PassedGate", "average_precision 0.861"),
    ),
    "a champion by version": (
        deployment(champion=PINNED), Wish("champion", "v2"), End(DONE, "Champion", f"v2 {digest('b')}"),
    ),
    "a champion by digest": (
        deployment(champion=PINNED), Wish("champion", digest("b"), digest("b")),
        End(DONE, "Champion", f"v2 {digest('b')}"),
    ),
    "another champion": (deployment(champion=PINNED), Wish("champion", "v3"), None),
    "a champion that was rolled back": (
        deployment(quarantined=QUARANTINE), Wish("champion", "v2", digest("b")),
        End(FAILED, "ErrorRateHigher", "v2 of flights-late is quarantined until 2026-02-04T08:00:00Z"),
    ),
    "a champion that the gate held": (
        deployment(quarantined=QUARANTINE), Wish("champion", "v3", digest("c")),
        End(HELD, "HeldByGate", "v3 of flights-late is quarantined until 2026-02-04T08:00:00Z"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("thing", "wish", "expected"), WISHES.values(), ids=WISHES.keys())
def test_what_is_wished(thing: Any, wish: Wish, expected: End | None) -> None:
    assert ended(thing, wish) == expected


SPELT = {
    "": Wish(),
    "Ready": Wish("Ready"),
    "Progressing=false": Wish("Progressing", "False"),
    "champion=v8": Wish("champion", "v8"),
    f"champion={digest('b')}": Wish("champion", digest("b"), digest("b")),
}


@pytest.mark.parametrize(("text", "expected"), SPELT.items())
def test_how_a_wish_is_spelt(text: str, expected: Wish) -> None:
    assert parsed(text, "ModelDeployment") == expected


MISSPELT = {
    "champion": "--for=champion needs a version or digest, for example --for=champion=v8",
    "Ready=maybe": '--for=Ready=maybe: a condition is True, False or Unknown, not "maybe"',
}


@pytest.mark.parametrize(("text", "line"), MISSPELT.items())
def test_a_wish_that_can_never_be(text: str, line: str) -> None:
    with pytest.raises(click.UsageError) as found:
        parsed(text, "ModelDeployment")
    assert found.value.message == line
    with pytest.raises(click.UsageError):
        parsed("champion=v8", "Monitor")


# The command, on scripted watches.

PATH = ours("TrainingJob", "demo")
RUNNING = run(condition("Complete", "False", "Running", "Job first-1 trains on version dddd"))
ENDS = {
    0: run(COMPLETE),
    1: run(condition("Failed", "True", "DataGone", "version dddd is gone. docs: reasons/DataGone")),
    3: run(condition("Complete", "True", "HeldByGate", "v1 stays")),
}
SAID = {
    0: "TrainingJob/first done: PassedGate: average_precision 0.861",
    1: "TrainingJob/first failed: DataGone: version dddd is gone",
    3: "TrainingJob/first held by the gate: HeldByGate: v1 stays",
    4: "TrainingJob/first timed out: Running: Job first-1 trains on version dddd",
}


def waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Any, *words: str) -> tuple[Result, list[Asked]]:
    """Run the command where lists and watches are answered in turn, the last for ever."""
    replies = list(script)

    def answer(_: Asked) -> Any:
        found = replies.pop(0) if len(replies) > 1 else replies[0]
        return found(_) if callable(found) else found

    answers = Answers({f"GET {PATH}": answer})
    with served(answers) as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", server)))
        return CliRunner().invoke(wait, ["tj/first", *words]), answers.asked


@pytest.mark.parametrize("code", [0, 1, 3])
@pytest.mark.parametrize("is_at_once", [True, False], ids=["at once", "by a watch"])
def test_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, is_at_once: bool) -> None:
    end = ENDS[code] | {"metadata": {**ENDS[code]["metadata"], "resourceVersion": "8"}}
    script = [listed("TrainingJob", end)] if is_at_once else [
        listed("TrainingJob", RUNNING), events(("BOOKMARK", end), ("MODIFIED", RUNNING)), events(("MODIFIED", end)),
    ]  # fmt: skip
    result, asked = waited(tmp_path, monkeypatch, script, "--timeout", "20s")
    assert result.exit_code == code, result.output
    assert (result.stdout if code == 0 else result.stderr) == SAID[code] + "\n"
    assert {request.query["fieldSelector"] for request in asked} == {"metadata.name=first"}
    if not is_at_once:
        # A watch that the server ends goes on from what was told last, bookmarks included.
        assert [request.query.get("resourceVersion") for request in asked] == [None, "7", "1"]


def test_it_times_out_and_says_how_it_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [listed("TrainingJob", RUNNING), events(pause=0.05)]
    result, asked = waited(tmp_path, monkeypatch, script, "--timeout", "300ms")
    assert (result.exit_code, result.stderr) == (TIMED_OUT, SAID[4] + "\n")
    assert asked[1].query["timeoutSeconds"] == "1"


def test_a_version_that_is_too_old_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = events(("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}))
    script = [listed("TrainingJob", RUNNING), gone, listed("TrainingJob", ENDS[0], version="99")]
    result, asked = waited(tmp_path, monkeypatch, script, "--timeout", "20s")
    assert (result.exit_code, [request.query.get("watch") for request in asked]) == (0, [None, "true", None])


def test_it_fails_when_the_object_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [listed("TrainingJob", RUNNING), events(("DELETED", RUNNING))]
    result, _ = waited(tmp_path, monkeypatch, script)
    assert (result.exit_code, result.stderr) == (
        FAILED, "TrainingJob/first failed: Deleted: TrainingJob first was deleted meanwhile\n",
    )  # fmt: skip


REFUSED = {
    "there is no such object": (listed("TrainingJob"), 1, "Error: TrainingJob first does not exist in demo\n"),
    "a right is missing": (
        status(403, "Forbidden", "no"), 1,
        "Error: no right to list trainingjobs.treadle.dev in demo; ask for a Role with that verb (no)\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "code", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Any, code: int, line: str
) -> None:
    result, _ = waited(tmp_path, monkeypatch, [reply])
    assert (result.exit_code, result.stderr) == (code, line)


def test_wrong_usage_is_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, asked = waited(tmp_path, monkeypatch, [listed("TrainingJob")], "--for", "champion=v8")
    assert (result.exit_code, asked) == (2, [])


def test_json_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = waited(tmp_path, monkeypatch, [listed("TrainingJob", ENDS[3])], "-o", "json")
    assert result.exit_code == HELD
    assert json.loads(result.stdout) == {
        "object": "TrainingJob/first", "code": 3, "outcome": "held by the gate", "reason": "HeldByGate",
        "message": "v1 stays",
    }  # fmt: skip


def test_a_version_is_known_by_the_run_that_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = training_job(status={"model": {"version": "v2", "digest": digest("b")}})
    refused = deployment(quarantined=QUARANTINE)
    path = ours("ModelDeployment", "demo")
    answers = Answers(
        {
            path: listed("ModelDeployment", refused),
            f"{path}/flights-late": (200, refused),
            PATH: listed("TrainingJob", made),
        }
    )
    with served(answers) as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", server)))
        result = CliRunner().invoke(wait, ["flights-late", "--for=champion=v2", "--timeout=20s"])
    assert (result.exit_code, result.stderr) == (
        FAILED,
        "ModelDeployment/flights-late failed: ErrorRateHigher: v2 of flights-late is quarantined until "
        "2026-02-04T08:00:00Z\n",
    )
