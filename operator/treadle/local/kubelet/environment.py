"""What the process of a container is told: arguments and environment, and nothing of the person's own."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle.api.step import ENV_TERMINATION_LOG
from treadle.control.engine.ports import Object
from treadle.local.kubelet.mounts import Missing, mapped, source, values

PROGRAMS = re.compile(r"(^|/)treadle-(worker|server)(:[^/@]*)?(@[^/]*)?$")
"""Images whose program is this one."""

INHERITED = ("PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What the interpreter may need to find its modules and libraries."""

REFERENCES = {
    "secretKeyRef": "Secret",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "configMapRef": "ConfigMap",
}

EXPANSION = re.compile(r"\$(\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")

type Find = Callable[[str, str], Object | None]
"""Gives a Secret or ConfigMap of the pod's namespace by kind and name."""


class NoImage(Exception):
    """An image that cannot run here."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container lies: its root, which holds its mount points, its addresses and its termination message."""

    root: Path
    ip: str
    host_ip: str
    termination_log: Path

    @property
    def home(self) -> Path:
        """Return its /tmp: home and working directory, as in the images."""
        return self.root / "tmp"


def arguments(container: Object, environment: Mapping[str, str], place: Place) -> list[str]:
    """Return what is executed; raise NoImage for an image whose program is not here."""
    image = container.get("image", "")
    if PROGRAMS.search(image) is None:
        raise NoImage(
            f'image "{image}" cannot run here: treadle up has no containers, only the programs of treadle-worker and '
            f"treadle-server as processes; run this pod on a cluster"
        )
    command = container.get("command") or []
    words = [expanded(word, environment) for word in [*command, *(container.get("args") or [])]]
    # The interpreter is this machine's, wherever it lies: below /tmp, too, where every container has a volume.
    entry = [] if command else [sys.executable, "-m", "treadle"]
    return [*entry, *(mapped(word, place.root, mount_paths(container)) for word in words)]


def environment(pod: Object, container: Object, place: Place, find: Find, own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a container; Missing for a Secret or ConfigMap that it needs.

    own: this process's environment, of which only what the interpreter needs goes on.
    """
    told: dict[str, str] = {}
    for bundle in container.get("envFrom") or []:
        told |= _bundle(bundle, pod, find)
    for entry in container.get("env") or []:
        value = _value(entry, pod, place, find) if "valueFrom" in entry else expanded(entry.get("value") or "", told)
        if value is not None:
            told[entry["name"]] = value
    paths = mount_paths(container)
    home = str(place.home)
    return {
        **{name: _absolute(own[name]) for name in INHERITED if own.get(name)},
        # As in the images; times and texts must not depend on whose machine it is.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOSTNAME": pod["metadata"]["name"],
        # Services forget a pod at once here; what they sent it before that has arrived by then.
        "TREADLE_DRAIN_SECONDS": "0.5",
        **{name: mapped(value, place.root, paths) for name, value in told.items()},
        "TREADLE_HOST": place.ip,
        ENV_TERMINATION_LOG: str(place.termination_log),
    }


def references(pod: Object) -> set[tuple[str, str]]:
    """Return kind and name of the Secrets and ConfigMaps that a pod shows to its containers."""
    spec = pod["spec"]
    found = {where for volume in spec.get("volumes") or [] if (where := _source(volume)) is not None}
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        told = [entry.get("valueFrom") or {} for entry in container.get("env") or []]
        told += container.get("envFrom") or []
        for wanted in told:
            for field, kind in REFERENCES.items():
                if field in wanted:
                    found.add((kind, wanted[field]["name"]))
    return found


def _source(volume: Object) -> tuple[str, str] | None:
    try:
        return source(volume)
    except Missing:
        return None  # Told when the volume is mounted.


def mount_paths(container: Object) -> list[str]:
    """Return where a container expects its volumes."""
    return [mount["mountPath"] for mount in container.get("volumeMounts") or []]


def expanded(text: str, told: Mapping[str, str]) -> str:
    """Return a text with $(NAME) replaced where the name is known; $$ is a dollar."""
    return EXPANSION.sub(lambda found: "$" if found[1] == "$" else told.get(found[2], found[0]), text)


def _absolute(paths: str) -> str:
    return os.pathsep.join(str(Path(path).absolute()) for path in paths.split(os.pathsep) if path)


def _value(entry: Object, pod: Object, place: Place, find: Find) -> str | None:
    wanted = entry["valueFrom"]
    if "fieldRef" in wanted:
        return _field(wanted["fieldRef"]["fieldPath"], pod, place)
    for reference, kind in REFERENCES.items():
        if reference in wanted:
            return _key(wanted[reference], kind, pod, find)
    raise Missing(f"env {entry['name']!r}: valueFrom.{next(iter(wanted))} is not known to treadle up; write a value")


def _field(path: str, pod: Object, place: Place) -> str:
    metadata, spec = pod["metadata"], pod["spec"]
    plain: dict[str, Any] = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.hostIP": place.host_ip,
        "status.hostIPs": place.host_ip,
        "status.podIP": place.ip,
        "status.podIPs": place.ip,
    }
    if path in plain:
        return str(plain[path])
    found = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if found is None:
        raise Missing(f"fieldPath {path!r} is not known to treadle up; use one of {', '.join(plain)}")
    return str((metadata.get(found[1]) or {}).get(found[2], ""))


def _key(reference: Object, kind: str, pod: Object, find: Find) -> str | None:
    found = find(kind, reference["name"])
    held = values(found) if found is not None else None
    if held is not None and reference["key"] in held:
        return held[reference["key"]].decode(errors="surrogateescape")
    if reference.get("optional"):
        return None
    if held is None:
        raise Missing(f'{kind.lower()} "{reference["name"]}" not found')
    raise Missing(f"couldn't find key {reference['key']} in {kind} {pod['metadata']['namespace']}/{reference['name']}")


def _bundle(bundle: Object, pod: Object, find: Find) -> dict[str, str]:
    kind = "Secret" if "secretRef" in bundle else "ConfigMap"
    reference = bundle.get("secretRef") or bundle["configMapRef"]
    found = find(kind, reference["name"])
    if found is None and not reference.get("optional"):
        raise Missing(f'{kind.lower()} "{reference["name"]}" not found')
    prefix = bundle.get("prefix") or ""
    held = values(found) if found is not None else {}
    return {f"{prefix}{key}": value.decode(errors="surrogateescape") for key, value in held.items()}
