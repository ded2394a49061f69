"""Where things lie below the prefix of a store, computed from their names alone."""

import re
from typing import Literal

type Kind = Literal["datasets", "models"]
type Step = Literal["ingest", "train", "monitor"]
type Pointed = Literal["datasets", "models", "serving"]

FORMAT = "store.json"
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def namespace_prefix(uid: str) -> str:
    """Return the prefix of a namespace below the Secret's own: what the operator passes to each pod."""
    return f"treadle/v1/{uid}/"


def hex_digits(digest: str) -> str:
    """Return the 64 hex digits of a digest, with or without its prefix; raise ValueError for any other text."""
    text = digest.removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"{digest!r} is no sha256 digest")
    return text


def blob(digest: str) -> str:
    """Return the key of bytes named by their digest."""
    text = hex_digits(digest)
    return f"blobs/sha256/{text[:2]}/{text}"


def signature(digest: str) -> str:
    """Return the key of the signature of a manifest or record."""
    return f"signatures/{hex_digits(digest)}.json"


def manifest(kind: Kind, digest: str) -> str:
    """Return the key of a version named by its content."""
    return f"{kind}/{hex_digits(digest)}.json"


def version(model_name: str, number: int) -> str:
    """Return the key that claims a version number of a model."""
    return f"versions/{model_name}/{number:06d}.json"


def versions(model_name: str) -> str:
    """Return the prefix of all version numbers of a model."""
    return f"versions/{model_name}/"


def fit(fit_key: str) -> str:
    """Return the key of the model that data and recipe gave."""
    return f"fits/{hex_digits(fit_key)}.json"


def run(step: Step, run_key: str) -> str:
    """Return the key of the record of one run."""
    return f"runs/{step}/{hex_digits(run_key)}.json"


def requests(deployment: str, day: str, hour: int, pod_uid: str, number: int) -> str:
    """Return the key of one part of a request log; `day` is 2013-07-03, in UTC."""
    return f"{requests_hour(deployment, day, hour)}{pod_uid}-{number:06d}.json"


def requests_hour(deployment: str, day: str, hour: int) -> str:
    """Return the prefix of one hour of a request log."""
    return f"{requests_of(deployment)}{day}/{hour:02d}/"


def requests_of(deployment: str) -> str:
    """Return the prefix of a whole request log."""
    return f"requests/{deployment}/"


def failure(run_key: str, pod_uid: str) -> str:
    """Return the key of the cause and last log lines of a pod that failed."""
    return f"failures/{hex_digits(run_key)}/{pod_uid}.json"


def report(run_key: str) -> str:
    """Return the key of the readable copy of a report."""
    return f"reports/{hex_digits(run_key)}.html"


def pointer(kind: Pointed, name: str) -> str:
    """Return the key of a small named value."""
    return f"pointers/{kind}/{name}.json"


def probe(name: str) -> str:
    """Return a key for the store's probe."""
    return f"probe/{name}"


def checked(key: str) -> str:
    """Return a key that is safe on every adapter; raise ValueError for one that could leave its directory."""
    if not SAFE.fullmatch(key) or len(key) > 900:
        raise ValueError(f"{key!r} is no key of the store")
    return key
