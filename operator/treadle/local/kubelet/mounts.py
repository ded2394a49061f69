"""Volumes as directories: what they hold, how that is replaced at once, and where a container finds them."""

import base64
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from treadle.control.engine.ports import Object

DATA = "..data"
KEPT = ("emptyDir", "secret", "configMap")

type Contents = Mapping[str, bytes]
"""Files by their path below the volume."""


class Missing(Exception):
    """What a pod needs and does not find; the message is kubelet's."""


def source(volume: Object) -> tuple[str, str] | None:
    """Return kind and name of the object that a volume shows; None for an emptyDir. Missing for other types."""
    if "secret" in volume:
        return "Secret", volume["secret"].get("secretName", "")
    if "configMap" in volume:
        return "ConfigMap", volume["configMap"].get("name", "")
    if "emptyDir" in volume or set(volume) == {"name"}:
        return None
    kind = next(key for key in volume if key != "name")
    raise Missing(
        f"volume {volume['name']!r} is of type {kind}, which treadle up does not have, only {', '.join(KEPT)}; "
        f"use one of these, or run the pod on a cluster"
    )


def values(raw: Object) -> dict[str, bytes]:
    """Return what a Secret or ConfigMap holds."""
    encoded = raw.get("data" if raw["kind"] == "Secret" else "binaryData") or {}
    plain = raw.get("data") or {} if raw["kind"] == "ConfigMap" else {}
    try:
        return {key: value.encode() for key, value in plain.items()} | {
            key: base64.b64decode(value, validate=True) for key, value in encoded.items()
        }
    except ValueError as error:
        raise Missing(f'{raw["kind"].lower()} "{raw["metadata"]["name"]}" holds what is no base64: {error}') from error


def contents(volume: Object, namespace: str, found: Object | None) -> Contents:
    """Return the files of a Secret's or ConfigMap's volume; raise Missing for what is not optional."""
    told: dict[str, Any] = volume.get("secret") or volume.get("configMap") or {}
    kind, name = ("secret", told.get("secretName")) if "secret" in volume else ("configmap", told.get("name"))
    if found is None:
        if told.get("optional"):
            return {}
        raise Missing(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {kind} "{name}" not found')
    held = values(found)
    if not told.get("items"):
        return held
    wanted = {item["key"]: item["path"] for item in told["items"]}
    absent = [key for key in wanted if key not in held]
    if absent and not told.get("optional"):
        where = f"{namespace}/{name}"
        raise Missing(f'references non-existent {kind} key: {absent[0]} (volume "{volume["name"]}", {where})')
    return {within(path): held[key] for key, path in wanted.items() if key in held}


def write(directory: Path, wanted: Contents) -> bool:
    """Make a directory hold exactly these files, all at once; say whether anything changed.

    As kubelet does it: the files lie in a directory of their own, `..data` is a link to that, and each name is a link
    through `..data`. One rename replaces all files, so that no reader sees half of an update.
    """
    directory.mkdir(parents=True, exist_ok=True)
    data = directory / DATA
    former = data.resolve() if data.is_symlink() else None
    if former is not None and _held(former) == dict(wanted):
        return False
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=directory))
    for path, content in wanted.items():
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o400)
    link = directory / "..data_tmp"
    link.symlink_to(fresh.name)
    link.replace(data)
    tops = {path.partition("/")[0] for path in wanted}
    for top in tops:
        if not (directory / top).is_symlink():
            (directory / top).symlink_to(f"{DATA}/{top}")
    for entry in directory.iterdir():
        if not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if former is not None:
        shutil.rmtree(former)
    return True


def _held(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def link(root: Path, volumes: Path, mounts: Iterable[Object]) -> None:
    """Make a container's mount points below its root links to the pod's volumes."""
    # The shorter first, so that one mount may lie within another.
    for mount in sorted(mounts, key=lambda mount: len(mount["mountPath"])):
        point = root / within(mount["mountPath"])
        point.parent.mkdir(parents=True, exist_ok=True)
        if not point.is_symlink():
            target = volumes / mount["name"] / within(mount.get("subPath") or "")
            if not target.exists():
                target.mkdir(parents=True)
            point.symlink_to(target)


def within(path: str) -> str:
    """Return a path that leads nowhere above where it begins."""
    return os.path.normpath(f"/{path}").lstrip("/")


def mapped(text: str, root: Path, mount_paths: Iterable[str]) -> str:
    """Return a value as the container is told it: a path of a mount, of what is below or above one, lies below root."""
    if not text.startswith("/"):
        return text
    path = os.path.normpath(text)
    for mount in mount_paths:
        point = os.path.normpath(mount)
        if path == point or path.startswith(f"{point}/") or (path != "/" and point.startswith(f"{path}/")):
            return f"{root}{text}"
    return text
