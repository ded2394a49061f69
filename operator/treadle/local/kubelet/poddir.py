"""The directory of a pod: volumes, mount points, logs and termination messages, and what a container is started with.

<namespace>_<pod>/.volumes/<volume>/   what Secrets, ConfigMaps and emptyDirs hold
                 /.ended/<container>   the termination message
                 /<container>/         its root: mount points as links to volumes, and /tmp
                 /<container>.log      of the run that is, beside .log.1 (older) and .previous.log (the run before)
"""

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from treadle.control.engine.fields import quantity
from treadle.control.engine.ports import Object
from treadle.local.kubelet import mounts
from treadle.local.kubelet.environment import Place, arguments, environment, mount_paths
from treadle.local.kubelet.mounts import Missing
from treadle.local.kubelet.supervised import Program

MESSAGE_BYTES = 4096
LOG_TAIL_BYTES = 2048
"""k8s.io/kubernetes/pkg/kubelet: MaxContainerTerminationMessageLength, and …LogLength for the log's tail."""

type Objects = Mapping[tuple[str, str], Object]
"""Secrets and ConfigMaps by kind and name."""


@dataclass(frozen=True, slots=True)
class PodDirectory:
    """What a pod has on disk."""

    path: Path

    @property
    def volumes(self) -> Path:
        """Return where the volumes lie."""
        return self.path / ".volumes"

    def log(self, container: str, *, is_previous: bool = False) -> Path:
        """Return where a container's log lies: of its current run, or of the one before."""
        return self.path / f"{container}{'.previous' if is_previous else ''}.log"

    def place(self, container: str, ip: str, host_ip: str) -> Place:
        """Return where a container lies."""
        return Place(self.path / container, ip, host_ip, self.path / ".ended" / container)

    def clear(self) -> None:
        """Leave nothing but logs."""
        if self.path.is_dir():
            for entry in self.path.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)

    def remove(self) -> None:
        """Leave nothing."""
        if self.path.is_dir():
            shutil.rmtree(self.path)

    def mount(self, pod: Object, objects: Objects) -> None:
        """Fill the volumes; raise Missing for what is not there and must be."""
        for volume in pod["spec"].get("volumes") or []:
            self._mount(volume, pod["metadata"]["namespace"], objects)

    def refresh(self, pod: Object, objects: Objects) -> None:
        """Fill the volumes with what Secrets and ConfigMaps hold now; what went away stays as it was."""
        for volume in pod["spec"].get("volumes") or []:
            with contextlib.suppress(Missing):
                self._mount(volume, pod["metadata"]["namespace"], objects)

    def program(
        self, pod: Object, container: Object, place: Place, objects: Objects, own: Mapping[str, str]
    ) -> Program:
        """Return what to start for a container whose volumes are filled; raise Missing or NoImage."""
        told = environment(pod, container, place, lambda kind, name: objects.get((kind, name)), own)
        wished = container.get("workingDir") or ""
        found = mounts.mapped(wished, place.root, mount_paths(container))
        return Program(
            argv=arguments(container, told, place),
            environment=told,
            directory=place.home if found == wished else Path(found),
            log=self.log(container["name"]),
        )

    def prepare(self, container: Object, place: Place) -> None:
        """Make a container's mount points, and room for its log and message; a former log becomes the previous."""
        mounts.link(place.root, self.volumes, container.get("volumeMounts") or [])
        place.home.mkdir(parents=True, exist_ok=True)
        place.termination_log.parent.mkdir(exist_ok=True)
        place.termination_log.write_bytes(b"")
        log = self.log(container["name"])
        if log.exists():
            log.replace(self.log(container["name"], is_previous=True))
            log.with_name(f"{log.name}.1").unlink(missing_ok=True)

    def message(self, container: Object, place: Place, exit_code: int) -> str:
        """Return what a container left to tell about its end."""
        told = tail(place.termination_log, MESSAGE_BYTES)
        if not told and exit_code and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            return tail(self.log(container["name"]), LOG_TAIL_BYTES)
        return told

    def _mount(self, volume: Object, namespace: str, objects: Objects) -> None:
        where, target = mounts.source(volume), self.volumes / volume["name"]
        if where is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            mounts.write(target, mounts.contents(volume, namespace, objects.get(where)))


def memory_limit(container: Object) -> int:
    """Return a container's memory limit in bytes; 0 for none."""
    found = quantity(str(((container.get("resources") or {}).get("limits") or {}).get("memory", "0")))
    return 0 if isinstance(found, str) else int(found)


def tail(file: Path, size: int) -> str:
    """Return the last bytes of a file as text; nothing where it is missing."""
    if not file.is_file():
        return ""
    with file.open("rb") as reading:
        reading.seek(max(0, file.stat().st_size - size))
        return reading.read(size).decode(errors="replace")
