"""Files of a source, one after the other: from a bucket, a URL or a ConfigMap."""

import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from treadle.api.datasource import HttpSource, InlineSource, S3Source, Source
from treadle.api.reasons import Reason
from treadle.data.refused import Refused
from treadle.store.errors import StoreError, chain, connection_word
from treadle.store.open import open_source, read_secret
from treadle.store.port import Entry

TIMEOUT_SECONDS = 60
HEADER = "header."
"""How the keys of a Secret begin that are sent: no other leaves the pod, whatever Secret a DataSource names."""
# What urllib itself writes of a request: set again, a server would read another request than was meant.
OWN_HEADERS = frozenset({"connection", "content-length", "host", "transfer-encoding"})
HEADER_VALUE = re.compile(r"[\x20-\x7e\t]+")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was read; `name` is what messages call it."""

    name: str
    data: bytes
    place: str = ""
    """Where it lies, without a query, which may hold a token."""


def collect(source: Source, mounts: Path, namespace: str) -> Iterator[SourceFile]:
    """Yield the files of a source in the order of their names.

    mounts: where Secrets and ConfigMaps are mounted. Raises Refused (SourceEmpty, SourceChanged) and StoreError.
    """
    if source.s3 is not None:
        yield from from_s3(source.s3, mounts, namespace)
    elif source.http is not None:
        yield from_http(source.http, mounts, namespace)
    elif source.inline is not None:
        yield from from_config_map(source.inline, mounts, namespace)


def from_s3(source: S3Source, mounts: Path, namespace: str) -> Iterator[SourceFile]:
    """Yield the objects that match; raise Refused (SourceChanged) if the listing differs once they are read."""
    parts = urlsplit(source.storage_uri)
    prefix = parts.path.lstrip("/")
    secret = source.secret_ref.name if source.secret_ref is not None else ""
    bucket = open_source(
        parts.netloc,
        endpoint=source.endpoint or "",
        region=source.region or "",
        directory=mounts / "secrets" / secret if secret else None,
        secret_name=secret,
        ca_file=authority(source.ca_ref.name, mounts, namespace) if source.ca_ref is not None else None,
        namespace=namespace,
    )
    before = chosen(bucket.list(prefix), prefix, source.include)
    if not before:
        raise Refused(
            "Fetched",
            Reason.SOURCE_EMPTY,
            f"no object below {source.storage_uri} matches {source.include!r}. Check storageUri and include, or upload",
        )
    for entry in before:
        found = bucket.get(entry.key)
        if found is None or len(found.data) != entry.size_bytes:
            raise changed(Path(entry.key).name)
        yield filled(SourceFile(Path(entry.key).name, found.data, f"s3://{parts.netloc}/{entry.key}"))
    after = chosen(bucket.list(prefix), prefix, source.include)
    if after != before:
        different = sorted({entry.key for entry in {*before} ^ {*after}})
        raise changed(", ".join(Path(key).name for key in different[:3]))


def chosen(entries: Iterator[Entry], prefix: str, include: str) -> list[Entry]:
    """Return the objects at or below a prefix whose remaining key matches a glob, in the order of their keys."""
    found = []
    for entry in entries:
        if entry.key.endswith("/"):
            continue
        below = entry.key.removeprefix(prefix)
        # s3://raw/flights is an object or a directory, never the beginning of another name.
        if below and prefix and not prefix.endswith("/") and not below.startswith("/"):
            continue
        if fnmatchcase(below.lstrip("/") or Path(entry.key).name, include):
            found.append(entry)
    return sorted(found, key=lambda entry: entry.key)


def from_config_map(source: InlineSource, mounts: Path, namespace: str) -> Iterator[SourceFile]:
    """Yield the keys of a mounted ConfigMap as files."""
    for path in keys_of(source.config_map_ref.name, mounts, namespace):
        place = f"ConfigMap {source.config_map_ref.name}, key {path.name}"
        yield filled(SourceFile(path.name, path.read_bytes(), place))


def keys_of(name: str, mounts: Path, namespace: str) -> list[Path]:
    """Return the files of a mounted ConfigMap; raise StoreError (ConfigMapNotFound) where there is none."""
    directory = mounts / "configs" / name
    # kubelet's own entries begin with "..".
    paths = sorted(directory.iterdir()) if directory.is_dir() else []
    files = [path for path in paths if not path.name.startswith("..") and path.is_file()]
    if not files:
        raise StoreError(
            Reason.CONFIG_MAP_NOT_FOUND,
            f'no ConfigMap "{name}" with a key in namespace {namespace}. Create it, or correct the reference',
        )
    return files


def authority(name: str, mounts: Path, namespace: str) -> Path:
    """Return the file ca.crt of a ConfigMap; raise StoreError where it is not, or is no certificate."""
    path = next((path for path in keys_of(name, mounts, namespace) if path.name == "ca.crt"), None)
    if path is None:
        raise StoreError(Reason.CONFIG_MAP_NOT_FOUND, f'ConfigMap "{name}" has no key ca.crt. Add the CA there')
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError as error:
        raise StoreError(
            Reason.TLS_FAILED, f'"ca.crt" of ConfigMap {name} is no PEM certificate. Put the CA there'
        ) from error
    return path


def from_http(source: HttpSource, mounts: Path, namespace: str) -> SourceFile:
    """Return the file behind a URL."""
    parts = urlsplit(source.url)
    request = urllib.request.Request(source.url, headers={"Accept": "*/*", "User-Agent": "treadle"})
    if source.secret_ref is not None:
        for header, value in headers_of(source.secret_ref.name, mounts, namespace).items():
            # Never sent on to where a redirect points.
            request.add_unredirected_header(header, value)
    ca_file = str(authority(source.ca_ref.name, mounts, namespace)) if source.ca_ref is not None else None
    context = ssl.create_default_context(cafile=ca_file)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context) as answer:
            data = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            raise refused_by_server(error.code, parts.netloc, source) from error
    except (OSError, http.client.HTTPException) as error:
        raise not_reached(error, parts.netloc) from error
    place = f"{parts.scheme}://{parts.netloc}{parts.path}"
    return filled(SourceFile(Path(parts.path).name or parts.netloc, data, place))


def headers_of(name: str, mounts: Path, namespace: str) -> dict[str, str]:
    """Return the request headers that a Secret holds: its keys header.NAME.

    Raises StoreError: SecretNotFound where there is no such key, InvalidSpec for one that cannot be sent.
    """
    values = read_secret(mounts / "secrets" / name)
    if not values:
        raise StoreError(
            Reason.SECRET_NOT_FOUND,
            f'no Secret "{name}" in namespace {namespace}. Create it, or correct spec.source.http.secretRef.name',
        )
    named = {key: value for key, value in values.items() if key.startswith(HEADER)}
    if not named:
        raise StoreError(
            Reason.SECRET_NOT_FOUND,
            f'Secret "{name}" in namespace {namespace} has no key {HEADER}NAME, and no other is sent. '
            f"Name the key of each header so, for example {HEADER}Authorization",
        )
    return {key.removeprefix(HEADER): usable(key, value, name) for key, value in named.items()}


def usable(key: str, value: str, secret_name: str) -> str:
    """Return the value of a header; raise StoreError (InvalidSpec) for a name or value that cannot be sent."""
    header = key.removeprefix(HEADER)
    if not header or header.lower() in OWN_HEADERS:
        what = f"names the header {header}, which the request sets itself" if header else "names no header"
        raise StoreError(
            Reason.INVALID_SPEC,
            f'"{key}" in Secret {secret_name} {what}, expected for example {HEADER}Authorization. Rename or remove it',
        )
    if not HEADER_VALUE.fullmatch(value):
        # The value is never part of the message: it is a secret.
        raise StoreError(
            Reason.INVALID_SPEC,
            f'"{key}" in Secret {secret_name} is empty or holds a line break or a character beyond ASCII, which no '
            "header can. Correct it",
        )
    return value


def refused_by_server(status: int, server: str, source: HttpSource) -> Exception:
    """Return the error that an HTTP status means."""
    if status in (404, 410):
        return Refused(
            "Fetched", Reason.SOURCE_EMPTY, f"{server} answered {status}: no file there. Correct spec.source.http.url"
        )
    if status in (401, 403):
        what = f"Secret {source.secret_ref.name}" if source.secret_ref is not None else "no Secret: set secretRef"
        reason = Reason.CREDENTIALS_REJECTED if status == 401 else Reason.ACCESS_DENIED
        return StoreError(reason, f"{server} answered {status} to GET with the headers of {what}. Correct them")
    if status in (429, 503):
        return StoreError(Reason.THROTTLED, f"{server} answered {status}: too many requests. Wait")
    return StoreError(Reason.CONNECTION_FAILED, f"{server} answered {status} to GET. Check spec.source.http.url")


def not_reached(error: Exception, server: str) -> StoreError:
    """Return the error that a failure below HTTP means."""
    causes = list(chain(error))
    names = {type(cause).__name__ for cause in causes}
    if "gaierror" in names:
        return StoreError(Reason.NAME_NOT_RESOLVED, f'host "{server}" does not resolve. Correct spec.source.http.url')
    found = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if found is not None:
        detail = getattr(found, "verify_message", "") or found.reason or "no TLS"
        return StoreError(
            Reason.TLS_FAILED, f"{server}: {detail}. Put the CA into the ConfigMap of spec.source.http.caRef"
        )
    what = next((word for cause in causes if (word := connection_word(cause))), "broke off")
    return StoreError(Reason.CONNECTION_FAILED, f"{server} {what}. Check spec.source.http.url and the NetworkPolicy")


def filled(file: SourceFile) -> SourceFile:
    """Return a file that holds something; raise Refused (SourceEmpty) for one of no bytes."""
    if not file.data.strip():
        raise Refused(
            "Fetched", Reason.SOURCE_EMPTY, f"{file.name} is empty ({len(file.data)} bytes). Replace or remove the file"
        )
    return file


def changed(what: str) -> Refused:
    """Return the refusal of a source that moved under the reader."""
    return Refused(
        "Fetched", Reason.SOURCE_CHANGED, f"{what} changed while the source was read. Nothing to do: it is tried again"
    )
