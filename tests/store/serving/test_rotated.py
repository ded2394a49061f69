"""The request log of a running pod after its Secret was rotated, on a real VersityGW."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from serving_pod import SPEC
from treadle.api.reasons import Reason
from treadle.serving.log import Answered, Part, Rows
from treadle.serving.upload import PartUploader
from treadle.store.errors import StoreError
from treadle.store.s3 import S3Store
from versity import QUICK, Gateway, address

TIME = datetime(2013, 7, 3, 10, 5, tzinfo=UTC)
DIGEST = "sha256:" + "c" * 64


def part(name: str) -> Part:
    """Return a part of one refused request."""
    rows = Rows(Answered([name], DIGEST, "champion", 0.001, 400), TIME, [0])
    return Part((), 100, TIME.replace(minute=0), 0.0, 1, [rows])


def refusal(uploader: PartUploader, name: str) -> Reason | None:
    """Store a part; return the reason of the error that came, None where it was stored."""
    try:
        uploader(part(name), 0)
    except StoreError as error:
        return error.reason
    return None


def test_keys_are_those_of_the_mounted_secret(tmp_path: Path, versity: Gateway) -> None:
    right = {"AWS_ACCESS_KEY_ID": versity.access_key, "AWS_SECRET_ACCESS_KEY": versity.secret_key}
    wrong = {**right, "AWS_SECRET_ACCESS_KEY": "replaced-in-the-store"}
    secret = tmp_path / "secret"
    uploader = PartUploader(SPEC, secret, "8d1f")

    def rotate(values: dict[str, str]) -> None:
        secret.mkdir(exist_ok=True)
        for key, value in {"bucket": "sales", "endpoint": versity.endpoint, "prefix": "rotated", **values}.items():
            (secret / key).write_text(value)

    found = [refusal(uploader, "a")]
    for values in (right, wrong, right):
        rotate(values)
        found.append(refusal(uploader, "b"))
    assert found == [Reason.SECRET_NOT_FOUND, None, Reason.CREDENTIALS_REJECTED, None]
    stored = S3Store(address(versity), f"rotated/{SPEC.store.prefix}", QUICK).list("requests/")
    assert [entry.key.rpartition("/")[2] for entry in stored] == ["8d1f-000000.json", "8d1f-000001.json"]


def test_an_identity_that_comes_late_is_found(
    tmp_path: Path, versity: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = tmp_path / "identity"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(identity),
    }.items():
        monkeypatch.setenv(name, value)
    secret = tmp_path / "secret"
    secret.mkdir()
    for key, value in {"bucket": "sales", "endpoint": versity.endpoint, "prefix": "late"}.items():
        (secret / key).write_text(value)
    uploader = PartUploader(SPEC, secret, "8d1f")
    before = refusal(uploader, "a")
    identity.write_text(
        f"[default]\naws_access_key_id = {versity.access_key}\naws_secret_access_key = {versity.secret_key}\n"
    )
    assert (before, refusal(uploader, "a")) == (Reason.CREDENTIALS_REJECTED, None)
