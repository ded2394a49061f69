"""The program around a step: exit codes, the termination message, /progress."""

import json
import urllib.request

import pytest

from treadle.api.reasons import Reason
from treadle.api.step import IngestStep, Owner, StoreAddress, read_result
from treadle.cli.report import ProgressServer
from treadle.cli.step import run_step

R = Reason
SPEC = {
    "source": {"inline": {"configMapRef": {"name": "rides"}}},
    "format": {"name": "csv"},
    "schema": {"columns": [{"name": "a", "type": "integer"}]},
}
ROWS = "a\n" + "".join(f"{number}\n" for number in range(100))

# name: ((file, whether the store's Secret is there), exit code, (outcome, reason))
CASES = {
    "a version is final": ((ROWS, True), 0, ("Published", R.VERSION_PUBLISHED)),
    "a refusal is final": (("a\nx\n", True), 0, ("Rejected", R.SCHEMA_MISMATCH)),
    "an empty file fails without a retry": (("", True), 10, ("Failed", R.SOURCE_EMPTY)),
    "a missing ConfigMap is tried again": ((None, True), 1, ("Failed", R.CONFIG_MAP_NOT_FOUND)),
    "a missing store Secret is tried again": ((ROWS, False), 1, ("Failed", R.SECRET_NOT_FOUND)),
}


@pytest.mark.parametrize(("given", "code", "end"), CASES.values(), ids=CASES.keys())
def test_exit_code_and_result(tmp_path, monkeypatch, given, code, end):
    text, has_store = given
    mounts = tmp_path / "mounts"
    if text is not None:
        (mounts / "configs" / "rides").mkdir(parents=True)
        (mounts / "configs" / "rides" / "a.csv").write_text(text)
    if has_store:
        secret = mounts / "secrets" / "treadle-store"
        secret.mkdir(parents=True)
        (secret / "bucket").write_text("estate")
        (secret / "endpoint").write_text(f"file://{tmp_path}")
        (tmp_path / "estate").mkdir()
    step = IngestStep.parse(
        {
            "run": "0" * 10,
            "runKey": "0" * 64,
            "owner": Owner(kind="DataSource", name="rides", uid="u", namespace="demo").dump(),
            "store": StoreAddress(secret="treadle-store", prefix="treadle/v1/u/").dump(),
            "spec": SPEC,
        }
    )
    monkeypatch.setenv("TREADLE_STEP", json.dumps(step.dump()))
    monkeypatch.setenv("TREADLE_MOUNTS", str(mounts))
    monkeypatch.setenv("TREADLE_TERMINATION_LOG", str(tmp_path / "end"))
    monkeypatch.setenv("TREADLE_PROGRESS_PORT", "0")

    assert run_step("ingest") == code
    result = read_result((tmp_path / "end").read_bytes())
    assert (result.outcome, result.reason) == end, result.message


def test_a_step_that_cannot_be_read_is_not_tried_again(monkeypatch):
    monkeypatch.setenv("TREADLE_STEP", "{}")
    assert run_step("ingest") == 10


def test_progress_is_answered_while_a_step_runs():
    now = [0.0]
    with ProgressServer("ingest", 0, clock=lambda: now[0]) as server:
        now[0] = 10.0
        server.stage("split", 0.5)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/progress") as answer:
            progress = json.load(answer)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
            metrics = answer.read().decode()
    assert progress == {"v": 1, "step": "ingest", "stage": "split", "percentage": 50, "estimatedRemainingSeconds": 10}
    assert 'treadle_step_progress_ratio{step="ingest",stage="split"} 0.5' in metrics


def test_two_steps_answer_on_one_port_where_each_has_an_address():
    with ProgressServer("ingest", 0, host="127.0.0.1") as first, ProgressServer("train", first.port, host="127.0.0.2"):
        steps = []
        for address in ("127.0.0.1", "127.0.0.2"):
            with urllib.request.urlopen(f"http://{address}:{first.port}/progress") as answer:
                steps.append(json.load(answer)["step"])
    assert steps == ["ingest", "train"]
