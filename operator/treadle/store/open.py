"""The mounted Secret of a bucket to an adapter."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography import x509

from treadle.api.reasons import Reason
from treadle.store.client import Address
from treadle.store.errors import StoreError, from_system, no_secret
from treadle.store.folder import FolderStore
from treadle.store.port import Bucket, ObjectStore
from treadle.store.retry import Retry
from treadle.store.s3 import S3Store, Source

MOUNTS = "/treadle"
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile(r"([A-Za-z0-9._-]+/)*")


def secret_directory(name: str) -> Path:
    """Return where a Secret is mounted: below /treadle, or TREADLE_MOUNTS."""
    return Path(os.environ.get("TREADLE_MOUNTS", MOUNTS)) / "secrets" / name


def open_store(
    directory: Path, secret_name: str, prefix: str, namespace: str = "", retry: Retry | None = None
) -> ObjectStore:
    """Open the bucket that a mounted Secret names, below the Secret's own prefix and `prefix`.

    retry: None for the patience of a Job.
    Raises StoreError: SecretNotFound for a directory that is missing or empty, InvalidSpec for a wrong value.
    """
    values = read_secret(directory)
    if not values:
        raise no_secret(secret_name, namespace)
    whole_prefix = joined(values.get("prefix", ""), prefix, secret_name)
    folder = folder_of(values, secret_name)
    if folder is not None:
        return FolderStore(folder, whole_prefix)
    return S3Store(address_of(values, secret_name, directory), whole_prefix, retry)


def open_source(
    bucket: str,
    *,
    endpoint: str = "",
    region: str = "",
    directory: Path | None = None,
    secret_name: str = "",
    ca_file: Path | None = None,
    namespace: str = "",
) -> Bucket:
    """Open a bucket that is only read; `directory` is where its Secret with the AWS keys is mounted, None for none.

    A Secret with an `endpoint` of file:///DIRECTORY makes each bucket a directory there, as `treadle up` has them,
    so that a manifest which names a cluster's endpoint works without that cluster.
    """
    values = read_secret(directory) if directory is not None else {}
    if directory is not None and not values:
        error = no_secret(secret_name, namespace)
        place = f" in namespace {namespace}" if namespace else ""
        raise StoreError(error.reason, f'no Secret "{secret_name}"{place}. Create it, or correct secretRef.name')
    if (folder := folder_of({**values, "bucket": bucket}, secret_name)) is not None:
        return FolderStore(folder, field="spec.source.s3.storageUri")
    return Source(
        Address(
            bucket,
            endpoint,
            region or "us-east-1",
            ca_file,
            values.get("AWS_ACCESS_KEY_ID", ""),
            values.get("AWS_SECRET_ACCESS_KEY", ""),
            values.get("AWS_SESSION_TOKEN", ""),
            secret_name if values else "",
            store=False,
        )
    )


def create_bucket(directory: Path, secret_name: str) -> bool:
    """Create the bucket that a Secret names unless it exists; return whether this call created it."""
    values = read_secret(directory)
    if not values:
        raise no_secret(secret_name, "")
    folder = folder_of(values, secret_name)
    if folder is None:
        return S3Store(
            address_of(values, secret_name, directory), joined(values.get("prefix", ""), "", secret_name)
        ).create_bucket()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except FileExistsError:
        return False
    except OSError as error:
        raise from_system(error, str(folder)) from error
    return True


def read_secret(directory: Path) -> dict[str, str]:
    """Return the keys of a mounted Secret; none for a directory that is not there, as of an optional mount."""
    if not directory.is_dir():
        return {}
    # kubelet's own entries begin with "..".
    files = [path for path in directory.iterdir() if not path.name.startswith(".") and path.is_file()]
    return {path.name: path.read_text(encoding="utf-8").strip() for path in files}


def folder_of(values: dict[str, str], secret_name: str) -> Path | None:
    """Return the directory that is the bucket, where `endpoint` is file:///…; None where it is not."""
    endpoint = urlsplit(values.get("endpoint", ""))
    if endpoint.scheme != "file":
        return None
    if endpoint.netloc or not endpoint.path:
        raise wrong("endpoint", values["endpoint"], "a directory such as file:///var/lib/treadle", secret_name)
    return Path(unquote(endpoint.path)) / bucket_of(values, secret_name)


def address_of(values: dict[str, str], secret_name: str, directory: Path | None = None) -> Address:
    """Return what a Secret says of a bucket; raise StoreError (InvalidSpec) for what cannot be one."""
    endpoint = values.get("endpoint", "")
    parts = urlsplit(endpoint)
    if endpoint and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
        raise wrong("endpoint", endpoint, "https://HOST or file:///DIRECTORY, without a key", secret_name)
    access, secret = values.get("AWS_ACCESS_KEY_ID", ""), values.get("AWS_SECRET_ACCESS_KEY", "")
    if bool(access) != bool(secret):
        raise StoreError(
            Reason.CREDENTIALS_REJECTED, f"Secret {secret_name} holds one of the two AWS keys. Add the other"
        )
    ca_file = directory / "ca.crt" if directory is not None and values.get("ca.crt") else None
    if ca_file is not None:
        try:
            x509.load_pem_x509_certificates(values["ca.crt"].encode())
        except ValueError as error:
            raise StoreError(
                Reason.TLS_FAILED, f'"ca.crt" of Secret {secret_name} is no PEM certificate. Put the CA there'
            ) from error
    bucket = bucket_of(values, secret_name)
    region = values.get("region", "") or "us-east-1"
    return Address(bucket, endpoint, region, ca_file, access, secret, values.get("AWS_SESSION_TOKEN", ""), secret_name)


def bucket_of(values: dict[str, str], secret_name: str) -> str:
    """Return the bucket's name; raise StoreError (InvalidSpec) for none, or for what S3 refuses."""
    bucket = values.get("bucket", "")
    if not BUCKET.fullmatch(bucket):
        raise wrong("bucket", bucket, "3 to 63 lower-case letters, digits, dots or hyphens", secret_name)
    return bucket


def joined(outer: str, inner: str, secret_name: str) -> str:
    """Return the two prefixes as one that ends in a slash, or is empty."""
    first = outer.strip("/") + "/" if outer.strip("/") else ""
    whole = first + inner
    if not PREFIX.fullmatch(whole) or any(part in (".", "..") for part in whole.split("/")):
        raise wrong("prefix", outer, "names of letters, digits, dots and hyphens between slashes", secret_name)
    return whole


def wrong(key: str, found: str, expected: str, secret_name: str) -> StoreError:
    """Return the error of a value that cannot be meant."""
    return StoreError(
        Reason.INVALID_SPEC, f'"{key}" in Secret {secret_name} is {found[:60]!r}, expected {expected}. Correct it'
    )
