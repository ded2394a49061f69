"""The port on S3, and a bucket that is only read."""

import base64
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.api.reasons import Reason
from treadle.store import keys
from treadle.store.client import ABSENT, BROKEN, Address, Refusal, Requests, only_absence, utc_now
from treadle.store.errors import Answer, StoreError, refused, wrong_digest
from treadle.store.port import Entry, Head, Object, Stored
from treadle.store.retry import Retry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

LARGE_BYTES = 64 << 20
REUSE = timedelta(hours=12)
"""A blob older than this is written again before it is reused, so that reuse and a sweep cannot cross."""


class S3Store:
    """Objects below `bucket/prefix`, created and replaced by conditional writes."""

    def __init__(
        self, address: Address, prefix: str = "", retry: Retry | None = None, now: Callable[[], datetime] = utc_now
    ) -> None:
        """Prepare a client; nothing is sent before the first method is called."""
        self._bucket, self._prefix, self._now = address.bucket, prefix, now
        self._requests = Requests(address, f"{address.bucket}/{prefix}".rstrip("/"), retry or Retry(), now)
        self._client = self._requests.client
        self.place = self._requests.place.path

    def get(self, key: str, start: int = 0, length: int | None = None) -> Object | None:
        """Return an object, or `length` bytes of it from `start`; None if it does not exist."""
        span = "" if start == 0 and length is None else f"bytes={start}-{'' if length is None else start + length - 1}"
        try:
            return self._requests.send("GetObject", lambda: self._read(key, span))
        except Refusal as refusal:
            if refusal.code != "InvalidRange":
                only_absence(refusal)
                return None
        head = self.head(key)  # a span beyond the end, as of an empty object
        return None if head is None else Object(b"", head.etag, head.size_bytes)

    def head(self, key: str) -> Head | None:
        """Return size, checksum, tag and time of an object; None if it does not exist."""
        name = self._name(key)
        try:
            answer = self._requests.send(
                "HeadObject",
                lambda: self._client.head_object(Bucket=self._bucket, Key=name, ChecksumMode="ENABLED"),
            )
        except Refusal:
            # A refused HEAD has no body; GET says whether key, bucket, right or region is missing.
            return self._head_by_get(key)
        checksum = answer.get("ChecksumSHA256", "")
        # A checksum of checksums, which ends in the number of parts, is not the object's digest.
        whole = checksum and "-" not in checksum and answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        digest = base64.b64decode(checksum).hex() if whole else None
        return Head(answer["ContentLength"], digest, answer["ETag"], answer["LastModified"])

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose keys begin with `prefix`, in the order of their keys."""
        for entry in listing(self._requests, self._bucket, self._prefix + prefix):
            yield replace(entry, key=entry.key.removeprefix(self._prefix))

    def put_blob(self, key: str, sha256: str, data: bytes | Path) -> None:
        """Store bytes under a key that names their digest, and confirm what is stored."""
        if self._size(data) > LARGE_BYTES:
            created = self.put_large(key, data)
        else:
            created = self._put(key, data, sha256=sha256, IfNoneMatch="*") is not None
        head = self.head(key)
        if head is not None and not created and self._now() - head.modified > REUSE:
            self._put(key, data, sha256=sha256, IfMatch=head.etag)
            head = self.head(key)
        found = None if head is None else head.sha256
        if head is None or found is None:
            found = self._read_back(key)
        if found != sha256:
            raise wrong_digest("blob", sha256, found)

    def put_once(self, key: str, data: bytes) -> Stored:
        """Create an object unless it exists; return the bytes that lie there afterwards."""
        while True:
            if self._put(key, data, IfNoneMatch="*") is not None:
                return Stored(created=True, data=data)
            # Deleted between the two: then it is free again.
            if (found := self.get(key)) is not None:
                return Stored(created=False, data=found.data)

    def put_large(self, key: str, data: bytes | Path) -> bool:
        """Create an object once from parts; return whether this call created it. Each try starts an upload anew."""
        size = self._size(data)
        try:
            self._requests.send("CompleteMultipartUpload", lambda: self._upload(self._name(key), data, size), size)
        except Refusal as refusal:
            if refusal.status == 412:
                return False
            raise self._unexpected("CompleteMultipartUpload", refusal) from refusal
        return True

    def swap(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Replace an object that still has `etag` (None: that does not exist); return the new tag, None if refused."""
        return self._put(key, data, IfNoneMatch="*") if etag is None else self._put(key, data, IfMatch=etag)

    def delete(self, key: str) -> None:
        """Delete an object; one that does not exist is success."""
        name = self._name(key)
        try:
            self._requests.send("DeleteObject", lambda: self._client.delete_object(Bucket=self._bucket, Key=name))
        except Refusal as refusal:
            only_absence(refusal)

    def create_bucket(self) -> bool:
        """Create the bucket unless it exists; return whether this call created it."""
        region = self._requests.place.region
        where: Any = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._requests.send(
                "ListObjectsV2",
                lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1),
            )
        except StoreError as error:
            if error.reason is not Reason.BUCKET_NOT_FOUND:
                raise
            self._requests.send("CreateBucket", lambda: self._client.create_bucket(Bucket=self._bucket, **where))
            return True
        return False

    def _name(self, key: str) -> str:
        return self._prefix + keys.checked(key)

    def _size(self, data: bytes | Path) -> int:
        return data.stat().st_size if isinstance(data, Path) else len(data)

    def _read(self, key: str, span: str) -> Object:
        extra: Any = {"Range": span} if span else {}
        answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key), **extra)
        body = whole(answer["Body"])
        return Object(body, answer["ETag"], int(answer.get("ContentRange", f"/{len(body)}").rpartition("/")[2]))

    def _head_by_get(self, key: str) -> Head | None:
        name = self._name(key)
        try:
            answer = self._requests.send(
                "GetObject", lambda: self._client.get_object(Bucket=self._bucket, Key=name, Range="bytes=0-0")
            )
        except Refusal as refusal:
            only_absence(refusal)
            return None
        answer["Body"].close()
        size = int(answer.get("ContentRange", f"/{answer['ContentLength']}").rpartition("/")[2])
        return Head(size, None, answer["ETag"], answer["LastModified"])

    def _put(self, key: str, data: bytes | Path, sha256: str = "", **condition: str) -> str | None:
        """Send one conditional write; return the new tag, None if its condition did not hold."""
        name, size = self._name(key), self._size(data)
        digest = bytes.fromhex(sha256) if sha256 else hashlib.sha256(data_of(data)).digest()
        extra: Any = {**condition, "ChecksumSHA256": base64.b64encode(digest).decode()}

        def attempt() -> str:
            if isinstance(data, bytes):
                return self._client.put_object(Bucket=self._bucket, Key=name, Body=data, **extra)["ETag"]
            with data.open("rb") as file:
                return self._client.put_object(Bucket=self._bucket, Key=name, Body=file, **extra)["ETag"]

        try:
            return self._requests.send("PutObject", attempt, size)
        except Refusal as refusal:
            if refusal.status == 412 or refusal.code in ABSENT:  # If-Match on what is gone is 404
                return None
            raise self._unexpected("PutObject", refusal) from refusal

    def _upload(self, name: str, data: bytes | Path, size: int) -> None:
        # Without the algorithm named here, VersityGW 1.8.0 answers InvalidPart to parts that carry checksums.
        upload = self._client.create_multipart_upload(Bucket=self._bucket, Key=name, ChecksumAlgorithm="SHA256")[
            "UploadId"
        ]
        try:
            parts: list[Any] = []
            for number, piece in enumerate(pieces(data, size), 1):
                checksum = base64.b64encode(hashlib.sha256(piece).digest()).decode()
                answer = self._client.upload_part(
                    Bucket=self._bucket,
                    Key=name,
                    UploadId=upload,
                    PartNumber=number,
                    Body=piece,
                    ChecksumSHA256=checksum,
                )
                parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum})
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=name, UploadId=upload, IfNoneMatch="*", MultipartUpload={"Parts": parts}
            )
        except BaseException:
            self._abort(name, upload)
            raise

    def _abort(self, name: str, upload: str) -> None:
        """Free the parts of an upload that came to nothing; the first error counts, the sweep aborts what is left."""
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload)
        except BROKEN:
            return

    def _read_back(self, key: str) -> str:
        """Return the digest of what is stored, by reading it: for stores that echo no checksum."""
        digest, start = hashlib.sha256(), 0
        while (piece := self.get(key, start, 8 << 20)) is not None and piece.data:
            digest.update(piece.data)
            start += len(piece.data)
            if start >= piece.size_bytes:
                break
        return digest.hexdigest()

    def _unexpected(self, operation: str, refusal: Refusal) -> StoreError:
        return refused(Answer(operation, refusal.status, refusal.code), self._requests.place, self._now())


class Source:
    """A bucket that is only read: objects below s3://bucket/prefix."""

    def __init__(self, address: Address, retry: Retry | None = None, now: Callable[[], datetime] = utc_now) -> None:
        """Prepare a client; nothing is sent before the first method is called."""
        self._bucket = address.bucket
        self._requests = Requests(replace(address, store=False), address.bucket, retry or Retry(), now)

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose keys begin with `prefix`, in the order of their keys; keys are whole."""
        return listing(self._requests, self._bucket, prefix)

    def get(self, key: str) -> Object | None:
        """Return an object; None if it does not exist."""
        client, bucket = self._requests.client, self._bucket

        def attempt() -> Object:
            answer = client.get_object(Bucket=bucket, Key=key)
            body = whole(answer["Body"])
            return Object(body, answer["ETag"], len(body))

        try:
            return self._requests.send("GetObject", attempt)
        except Refusal as refusal:
            only_absence(refusal)
            return None


def listing(requests: Requests, bucket: str, prefix: str) -> Iterator[Entry]:
    """Yield the objects of a bucket whose keys begin with `prefix`."""
    token = ""
    while True:
        page = requests.send("ListObjectsV2", partial(one_page, requests.client, bucket, prefix, token))
        for item in page.get("Contents", []):
            yield Entry(item["Key"], item["Size"], item["LastModified"])
        token = page.get("NextContinuationToken", "")
        if not page.get("IsTruncated") or not token:
            return


def one_page(client: "S3Client", bucket: str, prefix: str, token: str) -> "ListObjectsV2OutputTypeDef":
    """Return up to 1,000 objects of a listing, from where `token` left off."""
    if token:
        return client.list_objects_v2(Bucket=bucket, Prefix=prefix, ContinuationToken=token)
    return client.list_objects_v2(Bucket=bucket, Prefix=prefix)


def whole(body: Any) -> bytes:
    """Read a body to its end; urllib3 raises for one that is shorter than announced."""
    try:
        data: bytes = body.read()
        return data
    finally:
        body.close()


def data_of(data: bytes | Path) -> bytes:
    """Return bytes that are small enough to hold."""
    return data.read_bytes() if isinstance(data, Path) else data


def pieces(data: bytes | Path, size: int) -> Iterator[bytes]:
    """Yield the parts of an upload: at most 10,000, of 16 MiB or what that bound asks for; one for no bytes."""
    step = max(16 << 20, math.ceil(size / 10_000))
    if isinstance(data, bytes):
        for start in range(0, max(len(data), 1), step):
            yield data[start : start + step]
        return
    with data.open("rb") as file:
        while piece := file.read(step):
            yield piece
