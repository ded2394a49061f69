"""Volumes as directories: what they hold, that it changes at once, and where a container finds them."""

import base64
from pathlib import Path
from typing import Any

import pytest

from treadle.local.kubelet.mounts import Missing, contents, link, mapped, source, values, within, write

type Object = dict[str, Any]


def secret(**data: str) -> Object:
    """Return a Secret."""
    return {
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
    }


CONFIG: Object = {"kind": "ConfigMap", "data": {"a": "1"}, "binaryData": {"b": base64.b64encode(b"\0").decode()}}
ITEMS = [{"key": "a", "path": "deep/er/a"}]

# (a volume, the object that it shows, the files)
CONTENTS: dict[str, tuple[Object, Object | None, dict[str, bytes]]] = {
    "all keys of a Secret": ({"secret": {"secretName": "s"}}, secret(a="1", b="2"), {"a": b"1", "b": b"2"}),
    "texts and bytes of a ConfigMap": ({"configMap": {"name": "c"}}, CONFIG, {"a": b"1", "b": b"\0"}),
    "some keys, at paths": ({"secret": {"secretName": "s", "items": ITEMS}}, secret(a="1", b="2"), {"deep/er/a": b"1"}),
    "nothing of what is optional and not there": ({"secret": {"secretName": "s", "optional": True}}, None, {}),
    "nothing of an optional key that is not there": (
        {"configMap": {"name": "c", "items": [{"key": "x", "path": "x"}], "optional": True}},
        CONFIG,
        {},
    ),
    "nothing of an empty one": ({"configMap": {"name": "c"}}, {"kind": "ConfigMap"}, {}),
}


@pytest.mark.parametrize(("volume", "found", "files"), CONTENTS.values(), ids=CONTENTS.keys())
def test_contents(volume: Object, found: Object | None, files: dict[str, bytes]) -> None:
    assert contents({"name": "v", **volume}, "demo", found) == files


MISSING: dict[str, tuple[Object, Object | None, str]] = {
    "a Secret": (
        {"secret": {"secretName": "s"}},
        None,
        'MountVolume.SetUp failed for volume "v" : secret "s" not found',
    ),
    "a ConfigMap": (
        {"configMap": {"name": "c"}},
        None,
        'MountVolume.SetUp failed for volume "v" : configmap "c" not found',
    ),
    "a key": (
        {"secret": {"secretName": "s", "items": ITEMS}},
        secret(b="2"),
        'references non-existent secret key: a (volume "v", demo/s)',
    ),
}


@pytest.mark.parametrize(("volume", "found", "message"), MISSING.values(), ids=MISSING.keys())
def test_what_is_missing(volume: Object, found: Object | None, message: str) -> None:
    with pytest.raises(Missing) as told:
        contents({"name": "v", **volume}, "demo", found)
    assert str(told.value) == message


SOURCES: dict[str, tuple[Object, tuple[str, str] | None]] = {
    "a Secret": ({"secret": {"secretName": "s"}}, ("Secret", "s")),
    "a ConfigMap": ({"configMap": {"name": "c"}}, ("ConfigMap", "c")),
    "a directory": ({"emptyDir": {"sizeLimit": "2Gi"}}, None),
    "a directory, by default": ({}, None),
}


@pytest.mark.parametrize(("volume", "wanted"), SOURCES.values(), ids=SOURCES.keys())
def test_what_a_volume_shows(volume: Object, wanted: tuple[str, str] | None) -> None:
    assert source({"name": "v", **volume}) == wanted


def test_other_volumes_are_refused_with_what_to_do() -> None:
    with pytest.raises(Missing, match=r"of type persistentVolumeClaim, .* only emptyDir, secret, configMap; use"):
        source({"name": "v", "persistentVolumeClaim": {"claimName": "c"}})


def files(directory: Path) -> dict[str, bytes]:
    """Return what a container reads below a directory, the machinery of updates left out."""
    top = [entry for entry in directory.iterdir() if not entry.name.startswith("..")]
    found = [path for entry in top for path in ([entry] if entry.is_file() else entry.rglob("*")) if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def test_a_volume_holds_what_was_written_last(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    for wanted in ({"a": b"1", "deep/er/b": b"2"}, {"a": b"3"}, {}, {"deep/b": b"4", "c": b""}):
        assert write(volume, wanted)
        assert files(volume) == wanted
        assert not write(volume, wanted), "nothing changed"
    assert len([entry for entry in volume.iterdir() if entry.name.startswith("..")]) == 2, "the link and its target"
    assert (volume / "c").stat().st_mode & 0o777 == 0o400


def test_an_open_directory_sees_all_of_an_update_or_nothing(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    write(volume, {"a": b"1", "b": b"1"})
    before = (volume / "..data").resolve()
    write(volume, {"a": b"2", "b": b"2"})
    after = (volume / "..data").resolve()
    assert before != after and not before.exists()
    assert (volume / "a").readlink() == Path("..data/a")


def test_mount_points_lead_to_volumes(tmp_path: Path) -> None:
    root, volumes = tmp_path / "root", tmp_path / "volumes"
    write(volumes / "plan", {"plan.json": b"{}"})
    (volumes / "tmp").mkdir()
    mounts = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "plan", "mountPath": "/treadle/plan"},
        {"name": "tmp", "mountPath": "/data", "subPath": "part"},
        {"name": "tmp", "mountPath": "/data/within"},
    ]
    for _ in range(2):  # A restarted container finds them again.
        link(root, volumes, mounts)
    assert (root / "treadle/plan/plan.json").read_bytes() == b"{}"
    (root / "data/file").write_text("here")
    assert (volumes / "tmp/part/file").read_text() == "here"
    assert (root / "data/within").resolve() == (volumes / "tmp").resolve()


PATHS = ["/treadle/secrets/store", "/tmp"]
MAPPED = {
    "the mount": ("/tmp", "/r/tmp"),
    "what is below it": ("/tmp/a/b", "/r/tmp/a/b"),
    "what is above it": ("/treadle", "/r/treadle"),
    "with a slash at its end": ("/treadle/", "/r/treadle/"),
    "what only begins like it": ("/tmpfs", "/tmpfs"),
    "what lies beside it": ("/treadle/other", "/treadle/other"),
    "the root of all": ("/", "/"),
    "another path": ("/usr/bin", "/usr/bin"),
    "a relative path": ("tmp", "tmp"),
    "a text that holds it": ("see /tmp", "see /tmp"),
    "JSON that holds it": ('{"a": "/tmp"}', '{"a": "/tmp"}'),
}


@pytest.mark.parametrize(("text", "wanted"), MAPPED.values(), ids=MAPPED.keys())
def test_paths(text: str, wanted: str) -> None:
    assert mapped(text, Path("/r"), PATHS) == wanted


WITHIN = {
    "/treadle/plan": "treadle/plan",
    "a//b/./c/": "a/b/c",
    "../../etc": "etc",
    "/a/../../b": "b",
    "": "",
    "/": "",
}


@pytest.mark.parametrize(("path", "wanted"), WITHIN.items())
def test_no_path_leads_above_its_root(path: str, wanted: str) -> None:
    assert within(path) == wanted


def test_values_are_bytes() -> None:
    assert values(secret(a="ä")) == {"a": "ä".encode()}


def test_what_is_no_base64_is_told() -> None:
    with pytest.raises(Missing, match='secret "s" holds what is no base64'):
        values({"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "%%%"}})
