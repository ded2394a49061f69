"""The folder of `treadle up`: one user at a time, one format, and every object as it was."""

import json
from pathlib import Path
from typing import Any

import pytest

from treadle.local.server.api import Change
from treadle.local.state import FORMAT, Folder, Unusable, kubeconfig, used


def config_map(name: str, version: int, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "demo", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_objects_are_as_they_were(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "state")
    with used(folder) as objects:
        assert objects.load() == ([], 0)
        objects.keep([Change("ADDED", config_map("a", 1)), Change("ADDED", config_map("b", 2))])
        objects.keep([Change("MODIFIED", config_map("a", 3, x="1")), Change("DELETED", config_map("b", 4))])
        objects.keep([])
    with used(folder) as objects:
        assert objects.load() == ([config_map("a", 3, x="1")], 4)
    assert (folder.root / ".gitignore").read_text() == "*\n"
    assert folder.root.stat().st_mode & 0o77 == 0
    assert sorted(path.name for path in folder.buckets.iterdir()) == ["raw", "treadle"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    other = pytest.raises(Unusable, match=r"is in use by process \d+; end that one")
    with used(Folder(tmp_path / "state")), other, used(Folder(tmp_path / "state")):
        raise AssertionError("two have it")
    with used(Folder(tmp_path / "state")) as objects:
        assert objects.load() == ([], 0)


def test_data_may_lie_there_first(tmp_path: Path) -> None:
    file = tmp_path / "buckets/raw/flights/one.csv"
    file.parent.mkdir(parents=True)
    file.write_text("a\n1\n")
    with used(Folder(tmp_path)):
        assert file.read_text() == "a\n1\n"


OTHERS = {
    "another version's": (
        {"format.json": json.dumps({"format": FORMAT + 1, "treadle": "9.0"})},
        r"holds the state of treadle 9\.0 \(format 2\), this is treadle .* \(format 1\); use that version, or take",
    ),
    "a marker that is none": ({"format.json": "[]"}, r"holds the state of treadle unknown"),
    "a folder of something else": ({"README.md": "mine"}, r"is there, and is no state of treadle up; take another"),
}


@pytest.mark.parametrize(("files", "text"), OTHERS.values(), ids=OTHERS.keys())
def test_refuses_and_leaves_alone(tmp_path: Path, files: dict[str, str], text: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(Unusable, match=text), used(Folder(tmp_path)):
        raise AssertionError("it was taken")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_the_kubeconfig_names_the_api_and_the_namespace() -> None:
    config = json.loads(kubeconfig("http://127.0.0.1:8480", "demo"))
    assert config["clusters"][0]["cluster"] == {"server": "http://127.0.0.1:8480"}
    assert config["contexts"][0]["context"]["namespace"] == "demo"
    assert config["current-context"] == config["contexts"][0]["name"]
