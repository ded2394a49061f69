"""The program itself, as a process; and its children when they die."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving_pod import SPEC, Pod, inference, planned, publish
from treadle.api.reasons import Reason
from treadle.serving.main import EXIT_MISCONFIGURED
from treadle.serving.vet import Trial, environment, vet

RUN = [sys.executable, "-m", "treadle.serving.main"]


def test_drains_on_sigterm_and_stores_the_log(prepared: Pod) -> None:
    chosen = prepared.settings
    digest = publish(prepared.store)
    prepared.apply(champion=planned(digest))
    environment = {
        **os.environ,
        "TREADLE_SERVE": json.dumps(SPEC.dump()),
        "POD_NAME": "pod",
        "POD_UID": "8d1f",
        "TREADLE_MOUNTS": str(chosen.mounts),
        "TREADLE_HOST": "127.0.0.1",
        "TREADLE_PREDICT_PORT": str(chosen.predict_port),
        "TREADLE_STATE_PORT": str(chosen.state_port),
        "TREADLE_DRAIN_SECONDS": "1",
    }
    program = subprocess.Popen(RUN, env=environment, stderr=subprocess.PIPE)
    try:
        prepared.until("it is ready", lambda: prepared.state("/readyz").status == 200)
        assert prepared.infer(inference()).status == 200
        program.send_signal(signal.SIGTERM)
        prepared.until("it is unready", lambda: prepared.state("/readyz").status == 503)
        assert prepared.infer(inference()).status == 200
        assert program.wait(20) == 0
    finally:
        program.kill()
        program.communicate()
    [entry] = prepared.store.list("requests/flights-late/")
    found = prepared.store.get(entry.key)
    assert found is not None
    assert json.loads(found.data)["rows"] == 2


def test_refuses_to_start_without_its_spec() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TREADLE_SERVE"}
    program = subprocess.run(RUN, env=environment, capture_output=True, timeout=20, check=False)
    assert program.returncode == EXIT_MISCONFIGURED
    assert b"TREADLE_SERVE is not set" in program.stderr


ENVIRONMENTS = {
    "of a pod": ({"HOME": "/tmp", "AWS_SECRET_ACCESS_KEY": "k"}, {}),
    "with libraries of its own": ({"PYTHONPATH": "/a", "OMP_NUM_THREADS": "8"}, {"PYTHONPATH": "/a"}),
}


@pytest.mark.parametrize(("own", "kept"), ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_a_child_has_one_thread_and_no_key(own: dict[str, str], kept: dict[str, str]) -> None:
    assert environment(own) == {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **kept}
    code = "import numpy, scipy.linalg; print(len(list(__import__('pathlib').Path('/proc/self/task').iterdir())))"
    child = subprocess.run([sys.executable, "-c", code], env=environment({}), capture_output=True, check=True)
    assert child.stdout == b"1\n"


async def test_a_child_that_gives_no_answer_is_a_crash_of_the_candidate(tmp_path: Path) -> None:
    trial = Trial(directory=str(tmp_path), format="onnx", primary="model.onnx", sha256={}, tolerance=0.1)
    found = await vet(trial, 0.01)
    assert found.reason == Reason.CANDIDATE_CRASHED
    assert "gave no answer within 0.01 s" in found.message


def test_the_server_holds_neither_boto3_nor_pyarrow() -> None:
    code = "import sys, treadle.serving.main; print({'boto3', 'pyarrow', 'sklearn', 'cryptography'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"set()"
