"""The first Job of a day probes its store before it uses it, and Jobs beside each other do not disturb that."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from faulty_s3 import Faults, serve
from treadle.api.reasons import Reason
from treadle.api.step import IngestResult, IngestStep, Owner, StoreAddress, read_result
from treadle.cli.step import run_step
from treadle.store import keys, probe
from treadle.store.port import ObjectStore
from treadle.store.s3 import S3Store
from versity import QUICK, Gateway, address

PREFIX = "treadle/v1/u/"
SPEC = {
    "source": {"inline": {"configMapRef": {"name": "rides"}}},
    "format": {"name": "csv"},
    "schema": {"columns": [{"name": "a", "type": "integer"}]},
}
MARK = b'{"format":"treadle.dev/probe/v1"}'
DAY = date(2013, 7, 1)


def ingest(mounts: Path, monkeypatch: pytest.MonkeyPatch, secret: dict[str, str], run: int) -> tuple[int, IngestResult]:
    """Run the program of an ingest Job on the bucket that a Secret names; return exit code and result."""
    for directory, values in {
        "configs/rides": {"a.csv": "a\n" + "".join(f"{number}\n" for number in range(100))},
        "secrets/treadle-store": secret,
    }.items():
        (mounts / directory).mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            (mounts / directory / name).write_text(value)
    step = IngestStep.parse(
        {
            "run": f"{run:010x}",
            "runKey": f"{run:064x}",
            "owner": Owner(kind="DataSource", name="rides", uid="u", namespace="demo").dump(),
            "store": StoreAddress(secret="treadle-store", prefix=PREFIX).dump(),
            "spec": SPEC,
        }
    )
    monkeypatch.setenv("TREADLE_STEP", json.dumps(step.dump()))
    monkeypatch.setenv("TREADLE_MOUNTS", str(mounts))
    monkeypatch.setenv("TREADLE_TERMINATION_LOG", str(mounts / "end"))
    monkeypatch.setenv("TREADLE_PROGRESS_PORT", "0")
    code = run_step("ingest")
    result = read_result((mounts / "end").read_bytes())
    assert isinstance(result, IngestResult)
    return code, result


def secret_of(endpoint: str, access_key: str = "AK", secret_key: str = "SK") -> dict[str, str]:
    return {
        "bucket": "sales",
        "endpoint": endpoint,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
    }


def test_the_second_job_of_a_day_probes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults()
    with serve(faults) as endpoint:
        first = ingest(tmp_path, monkeypatch, secret_of(endpoint), 1)
        marks = [key for key in faults.objects if "/probe/" in key]
        before = dict(faults.objects)
        faults.requests.clear()
        # The same run again finds its record: what is asked of the store is the mark, and that record.
        second = ingest(tmp_path, monkeypatch, secret_of(endpoint), 1)
    today = datetime.now(UTC).date()
    assert [(code, result.outcome) for code, result in (first, second)] == [(0, "Published")] * 2
    assert marks in ([f"{PREFIX}probe/passed-{day}.json"] for day in (today, today - timedelta(days=1)))
    assert faults.requests[0] == "HEAD"
    assert ("PUT" in faults.requests, faults.objects) == (False, before)


def test_a_job_refuses_a_store_that_breaks_a_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults(ignores_create_once=True)
    with serve(faults) as endpoint:
        code, result = ingest(tmp_path, monkeypatch, secret_of(endpoint), 1)
    text = "If-None-Match ignored: 8 of 8 writers created one key. Use another store. docs: reasons/StoreUnsupported"
    assert (code, result.outcome, result.reason) == (1, "Failed", Reason.STORE_UNSUPPORTED)
    assert (result.failed, result.message) == ("Fetched", text)
    assert list(faults.objects) == [f"{PREFIX}store.json"]


def test_a_job_probes_a_real_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versity: Gateway) -> None:
    secret = secret_of(versity.endpoint, versity.access_key, versity.secret_key)
    code, result = ingest(tmp_path, monkeypatch, {**secret, "prefix": "probed"}, 1)
    assert (code, result.outcome) == (0, "Published")
    store = S3Store(address(versity), f"probed/{PREFIX}", QUICK)
    (mark,) = store.list("probe/")
    found = store.get(mark.key)
    assert found is not None and found.data == MARK


def test_jobs_that_probe_at_once_all_pass(opened: Callable[[], ObjectStore]) -> None:
    jobs = 3
    together = Barrier(jobs)

    def job(_: int) -> None:
        store = opened()
        together.wait()
        probe.ensure(store, DAY)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(job, range(jobs)))
    assert [entry.key for entry in opened().list("")] == ["probe/passed-2013-07-01.json", "store.json"]


# name: (days since it was written, whether it stays)
LEFT = {"of this moment": (0, True), "of yesterday": (1, True), "of the day before": (2, False)}


@pytest.mark.parametrize(("days", "stays"), LEFT.values(), ids=LEFT.keys())
def test_what_a_killed_probe_left(store: ObjectStore, days: int, stays: bool) -> None:
    left = keys.probe("0123456789abcdef-listed")
    store.put_once(left, b"listed")
    head = store.head(left)
    assert head is not None
    probe.ensure(store, head.modified.date() + timedelta(days=days))
    assert (store.head(left) is not None) == stays
