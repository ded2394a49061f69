"""Keys, retries and errors: what needs no store."""

import pickle
import random

import pytest

from treadle.api.reasons import Reason
from treadle.store import keys
from treadle.store.errors import Missing, StoreError
from treadle.store.manifest import File, files_of
from treadle.store.retry import Retry

DIGITS = "e7d04a51" + "0" * 56
PLACES = {
    "a blob": (keys.blob(f"sha256:{DIGITS}"), f"blobs/sha256/e7/{DIGITS}"),
    "a signature": (keys.signature(DIGITS), f"signatures/{DIGITS}.json"),
    "a dataset": (keys.manifest("datasets", DIGITS), f"datasets/{DIGITS}.json"),
    "a version": (keys.version("flights-late", 7), "versions/flights-late/000007.json"),
    "a fit": (keys.fit(DIGITS), f"fits/{DIGITS}.json"),
    "a run": (keys.run("train", DIGITS), f"runs/train/{DIGITS}.json"),
    "a part of the request log": (
        keys.requests("flights-late", "2013-07-03", 9, "0b6e", 17),
        "requests/flights-late/2013-07-03/09/0b6e-000017.json",
    ),
    "a failure": (keys.failure(DIGITS, "0b6e"), f"failures/{DIGITS}/0b6e.json"),
    "a report": (keys.report(DIGITS), f"reports/{DIGITS}.html"),
    "a pointer": (keys.pointer("serving", "flights-late"), "pointers/serving/flights-late.json"),
}


@pytest.mark.parametrize(("found", "expected"), PLACES.values(), ids=PLACES.keys())
def test_where_things_lie(found: str, expected: str) -> None:
    assert found == expected
    assert keys.checked(found) == expected


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:xyz", DIGITS[:-1], DIGITS.upper(), "md5:" + DIGITS])
def test_no_digest(text: str) -> None:
    with pytest.raises(ValueError, match="is no sha256 digest"):
        keys.blob(text)


def test_a_manifest_cannot_name_a_path_outside() -> None:
    entry = {"path": "model.onnx", "bytes": 5, "sha256": DIGITS}
    assert files_of({"files": [entry]}) == [File("model.onnx", 5, DIGITS)]
    assert files_of({"files": [entry]})[0].dump() == entry
    with pytest.raises(ValueError, match="is no key"):
        files_of({"files": [{**entry, "path": "../etc/passwd"}]})


def test_a_message_is_one_short_line_with_its_page() -> None:
    error = StoreError(Reason.ACCESS_DENIED, "first\nline " + "x" * 400)
    assert len(error.message) <= 300
    assert "\n" not in error.message
    assert error.message.endswith("…. docs: reasons/AccessDenied")


@pytest.mark.parametrize("kind", [StoreError, Missing])
def test_an_error_travels_between_processes(kind: type[StoreError]) -> None:
    error = kind(Reason.ACCESS_DENIED, "no")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.reason, copy.message) == (kind, error.reason, "no. docs: reasons/AccessDenied")


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


def failing(times: int):
    """Return what fails so often, and then returns how often it was called."""
    calls = []

    def attempt() -> int:
        calls.append(None)
        if len(calls) <= times:
            raise OSError("again")
        return len(calls)

    return attempt


RETRIES = {"succeeds at once": (0, 1), "succeeds after three": (3, 4), "succeeds at the last": (7, 8)}


@pytest.mark.parametrize(("times", "calls"), RETRIES.values(), ids=RETRIES.keys())
def test_a_call_that(times: int, calls: int) -> None:
    clock = Clock()
    retry = Retry(clock=lambda: clock.now, sleep=clock.sleep, rng=random.Random(7))
    assert retry.call(failing(times), lambda _: True) == calls
    assert all(pause <= 0.4 * 2**number for number, pause in enumerate(clock.pauses))


def test_a_call_gives_up() -> None:
    clock = Clock()
    retry = Retry(tries=1000, clock=lambda: clock.now, sleep=clock.sleep, rng=random.Random(7))
    with pytest.raises(OSError, match="again"):
        retry.call(failing(999), lambda _: True)
    assert clock.now <= 120
    with pytest.raises(OSError, match="again"):
        retry.call(failing(1), lambda _: False)
