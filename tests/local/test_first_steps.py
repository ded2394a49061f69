"""From a table to answers, by what `treadle init` prints: no line of YAML is touched."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster import eventually
from datasets import table
from embedded import up

NAME, DEMO = "customers", "demo"


def treadle(directory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "treadle", *words]
    found = {**os.environ, **environment}
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=directory, env=found, timeout=120)


@pytest.mark.timeout(300)
def test_a_table_becomes_a_model_that_answers(tmp_path: Path) -> None:
    data, _ = table("personal columns")
    (tmp_path / "customers.csv").write_bytes(data)
    proposed = treadle(tmp_path, "init", "customers.csv")
    assert (proposed.returncode, proposed.stderr) == (0, "")
    assert 'look at  "email": a mail address: stored hashed, not used' in proposed.stdout
    lines = proposed.stdout.partition("Here:\n")[2].splitlines()
    assert lines[1].split() == ["treadle", "up", NAME]
    subprocess.run(["sh", "-ec", lines[0]], check=True, cwd=tmp_path)

    with up(tmp_path / NAME, tmp_path / ".treadle") as cluster:

        def served() -> dict[str, Any] | None:
            status = (cluster.get("ModelDeployment", NAME, DEMO) or {}).get("status") or {}
            return status if status.get("champion") and status.get("readyReplicas") else None

        def story() -> str:
            return json.dumps([each.get("status") for each in cluster.list("TrainingJob", DEMO)], indent=1)

        status = eventually(served, 120, "the model answers", story)
        assert status["champion"]["version"] == "v1"
        run = cluster.get("TrainingJob", f"{NAME}-first", DEMO)
        assert run is not None and run["status"]["gate"]["verdict"] == "Promote"

        environment = {"KUBECONFIG": str(tmp_path / ".treadle" / "kubeconfig")}
        told = json.loads(treadle(tmp_path, "doctor", "-n", DEMO, "-o", "json", **environment).stdout)
        assert (told["ok"], {each["result"] for each in told["findings"]}) == (True, {"ok"}), told
        checks = {each["check"]: each["text"] for each in told["findings"]}
        assert checks["secret"] and checks["store"].startswith("treadle/treadle/v1 keeps its promises")
        asked = treadle(tmp_path, "predict", NAME, "-n", DEMO, "-o", "json", **environment)
        assert asked.returncode == 0, asked.stdout + asked.stderr
        answer = json.loads(asked.stdout)
        assert answer["status"] == 200
        # Nothing personal is asked for.
        assert {each["name"] for each in answer["request"]["inputs"]} == {"age", "pays", "plan"}
