"""A child process opens a candidate and asks it its golden requests, so that what it breaks is not the server.

`python -m treadle.serving.vet` reads a Trial as JSON on standard input and writes a Verdict to standard output.
"""

import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from treadle.api.base import Record
from treadle.api.conditions import line
from treadle.api.reasons import Reason
from treadle.serving.children import ChildDied, ask_child
from treadle.serving.load import Files, Rejected, load
from treadle.serving.onnxfile import problem

MEMORY_SHARE = 0.6  # of the container's limit: a candidate that eats more dies alone
# measured: each thread of an OpenBLAS takes 41 MiB of what is bounded below, and without this there is one a core,
# of numpy's and of scipy's: on 16 cores every candidate would die of it.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
MEMORY_LIMIT_FILE = Path("/sys/fs/cgroup/memory.max")


class Trial(Record):
    """Verified files of a candidate, and how near its golden answers must be."""

    directory: str
    format: Literal["onnx", "skops"]
    primary: str
    sha256: dict[str, str]
    tolerance: float

    @property
    def files(self) -> Files:
        """Return the files as `load` takes them."""
        return Files(Path(self.directory), self.format, self.primary, self.sha256)


class Verdict(Record):
    """How a trial ended; a reason is a refusal."""

    golden: str = ""
    reason: Reason | None = None
    message: str = ""


def attempt(trial: Trial) -> Verdict:
    """Open a candidate and compare its golden answers with training's."""
    try:
        if trial.format == "onnx" and (text := problem(trial.files.read(trial.primary))):
            return Verdict(reason=Reason.FORMAT_REFUSED, message=f"{trial.primary}: {text}; train it again")
        found = load(trial.files).recite(trial.tolerance)
    except Rejected as error:
        return Verdict(reason=error.reason, message=line(error.message))
    except Exception as error:  # whatever a model's graph makes its engine raise
        text = f"it fails on its golden rows: {type(error).__name__}: {error}"
        return Verdict(reason=Reason.GOLDEN_MISMATCH, message=line(text))
    if not found.is_whole:
        text = f"{found} golden rows within {trial.tolerance:g}; {found.difference}. Go back to the former image"
        return Verdict(golden=str(found), reason=Reason.GOLDEN_MISMATCH, message=line(text))
    return Verdict(golden=str(found))


async def vet(trial: Trial, timeout_seconds: float) -> Verdict:
    """Try a candidate in a child that holds no key; one that dies is CandidateCrashed."""
    try:
        output = await ask_child("treadle.serving.vet", trial, timeout_seconds, environment(os.environ))
        return Verdict.model_validate_json(output)
    except ChildDied as error:
        text = f"the process that tried it {error}; look at its size against the pod's memory limit"
        return Verdict(reason=Reason.CANDIDATE_CRASHED, message=text)
    except ValidationError:
        return Verdict(reason=Reason.CANDIDATE_CRASHED, message="the process that tried it gave no verdict")


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return what a child is told: where its libraries are, and no key."""
    return {**ONE_THREAD, **{name: own[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if name in own}}


def confine() -> None:
    """Bound what a candidate can take of the pod."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        limit = MEMORY_LIMIT_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return  # no cgroup of version 2: nothing to take a share of
    if limit.isdigit():
        share = int(int(limit) * MEMORY_SHARE)
        resource.setrlimit(resource.RLIMIT_DATA, (share, share))


def main() -> int:
    """Try what standard input names."""
    try:
        trial = Trial.model_validate_json(sys.stdin.buffer.read())
    except ValidationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    confine()
    sys.stdout.write(attempt(trial).model_dump_json(by_alias=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
