"""A client of S3 that names the cause of each failure; the only module that imports boto3."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from cryptography import x509
from cryptography.x509.oid import NameOID

from treadle.api.reasons import Reason
from treadle.store.errors import Answer, Place, StoreError, chain, refused, unreachable
from treadle.store.retry import Retry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RETRIED = frozenset({Reason.CONNECTION_FAILED, Reason.NAME_NOT_RESOLVED, Reason.THROTTLED})
BROKEN = (ClientError, BotoCoreError)
"""What the client raises for an answer that refuses, and for none."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a Secret says of a bucket; empty keys mean the pod's identity."""

    bucket: str
    endpoint: str = ""
    region: str = "us-east-1"
    ca_file: Path | None = None
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    secret: str = ""
    """Name of the Secret, for messages."""
    store: bool = True
    """Whether this is Treadle's own store, or a source; for messages."""


def utc_now() -> datetime:
    """Return this node's time."""
    return datetime.now(UTC)


class Requests:
    """A client that names the cause of each failure, and sends again what another try may mend."""

    def __init__(self, address: Address, path: str, retry: Retry, now: Callable[[], datetime]) -> None:
        self.client = connect(address)
        self.place = place_of(address, path, self.client.meta.endpoint_url)
        self._retry, self._now = retry, now
        self._worked = ""

    def send[T](self, operation: str, attempt: Callable[[], T], size_bytes: int | None = None) -> T:
        """Return the store's answer; raise Refusal for a precondition or an absence, StoreError for the rest."""
        try:
            answer = self._retry.call(lambda: self._once(operation, attempt, size_bytes), again)
        except Refusal:
            self._worked = operation  # the key was good enough to be told
            raise
        self._worked = operation
        return answer

    def _once[T](self, operation: str, attempt: Callable[[], T], size_bytes: int | None) -> T:
        try:
            return attempt()
        except ClientError as error:
            raise self._said(operation, error, size_bytes) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise StoreError(
                Reason.CREDENTIALS_REJECTED,
                f"no AWS keys for {self.place.key}, and the pod has no identity. Add both AWS keys",
            ) from error
        # urllib3's own errors reach us while a body is read; they are OSErrors or HTTPErrors of its hierarchy.
        except (BotoCoreError, OSError) as error:
            raise unreachable(error, self.place, issuer(error, self.place)) from error

    def _said(self, operation: str, error: ClientError, size_bytes: int | None) -> Exception:
        meta: dict[str, Any] = dict(error.response.get("ResponseMetadata", {}))
        body: dict[str, Any] = dict(error.response.get("Error", {}))
        headers = {str(name).lower(): str(value) for name, value in meta.get("HTTPHeaders", {}).items()}
        status, code = int(meta.get("HTTPStatusCode", 0)), str(body.get("Code", ""))
        if status == 412 or code in ABSENT or code in CONFLICTS or code == "InvalidRange":
            return Refusal(status, code)
        if operation == "HeadObject":  # its answers have no body, so no code
            return Refusal(status, code)
        answer = Answer(
            operation,
            status,
            code,
            headers=headers,
            region=headers.get("x-amz-bucket-region", "") or str(body.get("Region", "")),
            size_bytes=size_bytes,
            worked=self._worked if self._worked != operation else "",
        )
        said = parsedate_to_datetime(headers["date"]).astimezone(UTC) if "date" in headers else None
        found = refused(answer, self.place, self._now(), said)
        return Unanswered(found.reason, str(found).rpartition(" docs: ")[0]) if status >= 500 else found


class Refusal(Exception):
    """An answer that is part of the protocol: a precondition that did not hold, an absence, a conflict."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


class Unanswered(StoreError):
    """The outcome is unknown; the same conditional write may be sent again."""


ABSENT = frozenset({"NoSuchKey", "NoSuchUpload", "404"})
CONFLICTS = frozenset({"ConditionalRequestConflict", "OperationAborted"})


def again(error: Exception) -> bool:
    """Say whether another try may go better."""
    if isinstance(error, Refusal):
        return error.code in CONFLICTS or error.status >= 500
    if isinstance(error, Unanswered):
        return error.reason not in (Reason.QUOTA_EXCEEDED, Reason.STORE_UNSUPPORTED)
    return isinstance(error, StoreError) and error.reason in RETRIED


def only_absence(refusal: Refusal) -> None:
    """Accept the refusal that means an object does not exist; raise any other."""
    if refusal.code not in ABSENT and refusal.status != 404:
        raise refusal


def connect(address: Address) -> "S3Client":
    """Return a client with the time limits and checksums of docs/concepts; its own retries are off."""
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",  # the default breaks stores that know no trailers
        response_checksum_validation="when_required",
        max_pool_connections=16,
        s3={"addressing_style": "path" if address.endpoint else "auto"},
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=address.endpoint or None,
        region_name=address.region,
        aws_access_key_id=address.access_key or None,
        aws_secret_access_key=address.secret_key or None,
        aws_session_token=address.session_token or None,
        verify=str(address.ca_file) if address.ca_file else None,
        config=config,
    )


def place_of(address: Address, path: str, url: str) -> Place:
    """Return where requests go, in the words of the Secret."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Place(
        f"{parts.hostname}:{port}",
        address.bucket,
        path,
        address.region,
        address.secret,
        address.store,
        tls=parts.scheme == "https",
    )


def issuer(error: BaseException, place: Place) -> str:
    """Return who signed the certificate that a server shows, for the message that refuses it; empty if unknown."""
    if not any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain(error)):
        return ""
    host, _, port = place.endpoint.rpartition(":")
    try:
        # Only a name for a message is read from this connection.
        text = ssl.get_server_certificate((host, int(port)), timeout=5)
        names = x509.load_pem_x509_certificate(text.encode()).issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (OSError, ValueError):
        return ""
    return str(names[0].value) if names else ""
