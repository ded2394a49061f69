"""What can go wrong between us and a store: one error, and the one place that names its cause."""

import errno
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from treadle.api.conditions import paged
from treadle.api.reasons import Reason

RESTORE = "Restore an object version, or delete it"
"""What mends bytes that are not what they should be: nothing of ours writes over them."""
ALLOWED_SKEW_SECONDS = 900  # S3: RequestTimeTooSkewed beyond 15 minutes


class StoreError(Exception):
    """A store, or a source, that does not do what was asked; the message is for the person who can mend it."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        self.message = paged(reason, message)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[type["StoreError"], tuple[Reason, str]]:
        """Travel between processes: the page is appended again."""
        return type(self), (self.reason, self.message.rpartition(" docs: ")[0])


class Missing(StoreError):
    """An object that a manifest or a digest promised is not there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request went, in the words of the person who configured it."""

    endpoint: str
    """Host and port, such as s3.example.org:443."""
    bucket: str
    path: str = ""
    """Bucket and prefix, such as sales/treadle/v1/0b6e."""
    region: str = ""
    secret: str = ""
    """Name of the Secret; empty where the pod's identity is used."""
    store: bool = True
    """Whether this is Treadle's own store; a source's fields stand in its DataSource."""
    tls: bool = True

    @property
    def host(self) -> str:
        """Return the host without its port."""
        return self.endpoint.rpartition(":")[0].strip("[]") or self.endpoint

    @property
    def server(self) -> str:
        """Return the host, with the port only where it is not the usual one."""
        return self.endpoint.removesuffix(":443").removesuffix(":80")

    @property
    def key(self) -> str:
        """Say whose key was used."""
        return f"the key of Secret {self.secret}" if self.secret else "the pod's identity"

    def field(self, name: str) -> str:
        """Say where a setting stands."""
        if self.store:
            return f'"{name}" in Secret {self.secret}'
        return "spec.source.s3.storageUri" if name == "bucket" else f"spec.source.s3.{name}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal as the store gave it."""

    operation: str
    status: int
    code: str
    detail: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    region: str = ""
    size_bytes: int | None = None
    worked: str = ""
    """The last operation that this client saw succeed."""


SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
REJECTED = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired"}
)
# VersityGW 1.8.0 with one account answers 404 XAdminUserNotFound to an unknown key.
ALIASES = {"XAdminUserNotFound": "InvalidAccessKeyId"}
REGION = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
FULL = frozenset(
    {
        "QuotaExceeded",
        "QuotaExceededException",
        "InsufficientStorage",
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
    }
)
SLOW = frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"})


def refused(answer: Answer, place: Place, now: datetime, said: datetime | None = None) -> StoreError:
    """Return the error that an answer of the store means.

    now: this node's time. said: the store's, from the answer's Date header.
    """
    code, status = ALIASES.get(answer.code, answer.code), answer.status
    if code in SKEWED:
        return skewed(now, said)
    if code in REJECTED or status == 401:
        advice = "Replace both AWS keys" if place.secret else "Correct the pod's ServiceAccount"
        return StoreError(
            Reason.CREDENTIALS_REJECTED, f"{code or status} for {place.key}; {connection(place)} work. {advice}"
        )
    if code == "NoSuchBucket":
        return no_bucket(place.bucket, place.server, place.field("bucket"))
    if code in REGION or (status == 301 and answer.region):
        other = answer.region or "another region"
        advice = f"Set {'"region" in Secret ' + place.secret if place.store else place.field('region')}"
        return StoreError(
            Reason.REGION_MISMATCH, f'bucket "{place.bucket}" is in {other}, not {place.region}. {advice}'
        )
    if code in FULL or status == 507:
        return full(answer.size_bytes)
    if code in SLOW or status == 429:
        return StoreError(
            Reason.THROTTLED, f"{place.server} answered {status} {code} to {answer.operation}: too many requests. Wait"
        )
    if code == "NotImplemented" or status == 501:
        return StoreError(
            Reason.STORE_UNSUPPORTED, f"{place.server} has no {answer.operation} as asked: {code}. Use another store"
        )
    if status == 403:
        worked = f"; {answer.worked} works" if answer.worked else ""
        return StoreError(
            Reason.ACCESS_DENIED,
            f"403 to {answer.operation} on {place.path} with {place.key}{worked}. Grant it (policy in docs)",
        )
    if code == "BadDigest":
        return StoreError(
            Reason.CHECKSUM_MISMATCH, f"{place.server} received other bytes than were sent to {place.path}. Try again"
        )
    return StoreError(
        Reason.CONNECTION_FAILED,
        f"{place.server} answered {status} {code} to {answer.operation}; {connection(place)} work. "
        f"Check {place.field('endpoint')} and the store's log",
    )


def unreachable(error: BaseException, place: Place, issuer: str = "") -> StoreError:
    """Return the error that a failure below HTTP means; the chain of causes is searched for the system's own.

    issuer: who signed the certificate that was shown, if known.
    """
    causes = list(chain(error))
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return StoreError(
                Reason.NAME_NOT_RESOLVED, f'host "{place.host}" does not resolve. Correct {place.field("endpoint")}'
            )
    for cause in causes:
        # urllib3 compares the names itself, and raises this where OpenSSL would say X509_V_ERR_HOSTNAME_MISMATCH.
        if type(cause).__name__ == "CertificateError":
            return other_host(place)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return untrusted(cause, place, issuer)
        if isinstance(cause, ssl.SSLError):
            detail = cause.reason or "no TLS"
            return StoreError(
                Reason.TLS_FAILED,
                f"{place.endpoint}: {detail}; the port answers. Correct scheme and port of {place.field('endpoint')}",
            )
    what = next((word for cause in causes if (word := connection_word(cause))), "broke off")
    return StoreError(
        Reason.CONNECTION_FAILED,
        f"{place.endpoint} {what}; the name resolves. Check the port and the NetworkPolicy",
    )


def untrusted(cause: ssl.SSLCertVerificationError, place: Place, issuer: str) -> StoreError:
    """Return the error of a certificate that is not accepted."""
    # OpenSSL's X509_V_ERR: 18 and 19 self-signed, 20 and 21 no issuer; 10 expired, 62 another host.
    into = f'"ca.crt" of Secret {place.secret}' if place.store else "the ConfigMap of spec.source.s3.caRef"
    if cause.verify_code in (18, 19, 20, 21):
        named = f' "{issuer}"' if issuer else ""
        return StoreError(Reason.TLS_FAILED, f"{place.endpoint}: unknown authority{named}. Put that CA into {into}")
    if cause.verify_code == 62:
        return other_host(place)
    advice = "Renew the certificate, or correct this node's clock"
    return StoreError(Reason.TLS_FAILED, f"{place.endpoint}: {cause.verify_message}. {advice}")


def other_host(place: Place) -> StoreError:
    """Return the error of a certificate that names another host."""
    return StoreError(
        Reason.TLS_FAILED,
        f"{place.endpoint}: the certificate names another host. Correct {place.field('endpoint')}, or the certificate",
    )


def from_system(error: OSError, where: str) -> StoreError:
    """Return the error that a file system's refusal means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return full(None)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(
            Reason.ACCESS_DENIED, f"{error.strerror} on {where} for this process's user. Grant it the directory"
        )
    return StoreError(Reason.CONNECTION_FAILED, f"{error.strerror or type(error).__name__} on {where}. Check the disk")


def skewed(now: datetime, said: datetime | None) -> StoreError:
    """Return the error of a clock too far from the store's."""
    if said is None:
        return StoreError(
            Reason.CLOCK_SKEWED,
            f"this node's clock is off the store's by more than {ALLOWED_SKEW_SECONDS} s. Correct its clock",
        )
    seconds = round((said - now).total_seconds())
    side = "behind" if seconds >= 0 else "ahead of"
    return StoreError(
        Reason.CLOCK_SKEWED,
        f"this node is {abs(seconds)} s {side} the store, allowed are {ALLOWED_SKEW_SECONDS}. Correct its clock",
    )


def no_secret(name: str, namespace: str) -> StoreError:
    """Return the error of a Secret that is not mounted."""
    place = f" in namespace {namespace}" if namespace else ""
    return StoreError(Reason.SECRET_NOT_FOUND, f'no Secret "{name}"{place}. Create it: kubectl treadle store init')


def no_bucket(bucket: str, server: str, field_: str) -> StoreError:
    """Return the error of a bucket that does not exist."""
    correct = '"bucket"' if field_.startswith('"bucket"') else field_
    return StoreError(
        Reason.BUCKET_NOT_FOUND, f'no bucket "{bucket}" at {server}; the key is valid. Create it, or correct {correct}'
    )


def full(size_bytes: int | None) -> StoreError:
    """Return the error of a store without room."""
    what = "a write" if size_bytes is None else amount(size_bytes)
    return StoreError(Reason.QUOTA_EXCEEDED, f"the store refused {what}: quota. Free space, or raise the quota")


def wrong_digest(what: str, expected: str, found: str) -> StoreError:
    """Return the error of bytes that are not those their digest names; `what` is blob, dataset or model."""
    return StoreError(
        Reason.CHECKSUM_MISMATCH,
        f"{what} {brief(expected)} has digest {brief(found)}. {RESTORE} and publish it again",
    )


def brief(digest: str) -> str:
    """Return the eight hex digits by which a message names a digest."""
    return digest.removeprefix("sha256:")[:8]


def amount(size_bytes: int) -> str:
    """Return a size as people write it."""
    if size_bytes >= 1 << 20:
        return f"{size_bytes / (1 << 20):.0f} MiB"
    return f"{size_bytes / 1024:.0f} KiB" if size_bytes >= 1024 else f"{size_bytes} bytes"


def connection(place: Place) -> str:
    """Say which layers below the answer were in order."""
    return "DNS and TLS" if place.tls else "DNS and connection"


def connection_word(cause: BaseException) -> str:
    """Say how a connection ended; empty for what is no such end."""
    if isinstance(cause, ConnectionRefusedError):
        return "refused"
    if isinstance(cause, TimeoutError) or re.search(r"Timeout", type(cause).__name__):
        return "timed out"
    if isinstance(cause, OSError) and cause.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "is unreachable"
    return ""


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was made of: causes, contexts, arguments, and urllib3's `reason`."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        item = waiting.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        wrapped = getattr(item, "kwargs", None)
        inside = wrapped.values() if isinstance(wrapped, dict) else ()
        waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *inside, *item.args]
