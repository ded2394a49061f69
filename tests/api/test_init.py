"""What `treadle init` writes, read and judged by kubectl and a real API server."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from charts import run
from control_plane import ControlPlane
from datasets import table
from treadle.cli.draft.write import FILES
from treadle.cli.init import init

NAMES = ("words of yaml", "unicode", "spaces and signs in names", "lines within fields", "personal columns", "digits")


@pytest.mark.parametrize("name", NAMES)
def test_kubectl_reads_what_was_meant(name: str, plane: ControlPlane, tmp_path: Path) -> None:
    plane.namespace("demo")
    data, wanted = table(name)
    (tmp_path / "rows.csv").write_bytes(data)
    written = CliRunner().invoke(init, [str(tmp_path / "rows.csv"), "--directory", str(tmp_path / "out"), *wanted.args])
    assert written.exit_code == 0, written.output
    arguments = ("apply", "--dry-run=server", "--validate=strict", "-f", str(tmp_path / "out"), "-o", "json")
    found = {
        each["kind"]: each for each in json.loads(run("kubectl", *arguments, kubeconfig=plane.kubeconfig))["items"]
    }
    for file in FILES:
        meant = yaml.safe_load((tmp_path / "out" / file).read_text())
        assert contains(found[meant["kind"]]["spec"], meant["spec"]), file


def contains(found: object, meant: object) -> bool:
    """Say whether all that was meant is there; defaults come on top."""
    if isinstance(meant, dict):
        return isinstance(found, dict) and all(key in found and contains(found[key], meant[key]) for key in meant)
    if isinstance(meant, list):
        same = isinstance(found, list) and len(found) == len(meant)
        return same and all(contains(*pair) for pair in zip(found, meant, strict=True))
    return found == meant
