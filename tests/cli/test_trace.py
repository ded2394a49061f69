"""Lineage and differences as a person reads them, from objects alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from builders import AT, champion, data_source, digest, model_deployment, monitor, train_result, training_job, version
from goldens import same_text
from treadle.cli.estate import Estate
from treadle.cli.trace import chain, compare
from treadle.cli.trace.book import Book, book
from treadle.cli.trace.named import Unknown, find
from treadle.control.engine.ports import Object

COMPLETE = [
    {"type": "Complete", "status": "True", "reason": "PassedGate", "message": "average_precision 0.5 is better"}
]
FILES: chain.Files = {
    digest("d"): [
        {"place": f"s3://raw/flights-{month:02d}.csv", "bytes": 10 ** (month % 9), "sha256": f"{month:064x}"}
        for month in range(1, 13)
    ]
}


def run(name: str, letter: str, data: str, day: int, **spec: Any) -> Object:
    """Return a run that passed, of a model's letter on a dataset's."""
    result = train_result("Promote", letter).dump()
    kept = {key: result[key] for key in ("metrics", "gate", "model", "environment") if key in result}
    kept["model"] = {**kept["model"], "version": f"v{day}"}
    state = {"runKey": str(day) * 64, "completionTime": f"2026-01-0{day}T08:00:00Z", "conditions": COMPLETE}
    known = {"data": {"digest": digest(data), "short": data * 12}}
    created = {"creationTimestamp": f"2026-01-0{day}T07:00:00Z"}
    return training_job(name, status={**kept, **state, **known}, metadata=created, **spec)


def estate(*, family: str = "") -> Estate:
    """Return a namespace with two runs, the second of them serving; family: of one more model with a v2."""
    asked = {
        "kind": "Monitor",
        "ref": {"kind": "Monitor", "name": "flights-late", "uid": "m"},
        "reason": "DriftDetected",
    }
    rows = [
        {"digest": digest(letter), "rows": count, "publishedAt": AT} for letter, count in (("e", 20000), ("d", 10000))
    ]
    served = {
        "champion": {**champion("b", "e", "v2"), "trainingJob": "second"},
        "quarantined": [{"digest": digest("c"), "reason": "ErrorRateHigher", "until": "2026-02-04T08:00:00Z"}],
        "decisions": [
            {"time": AT, "actor": "operator", "action": "Promote", "subject": digest("b"), "reason": "Promoted",
             "message": "candidate v2 passed every step"}
        ],
    }  # fmt: skip
    judged = [
        {"start": AT, "verdict": verdict, "breached": [], "championDigest": digest("b")}
        for verdict in ("Detected", "Suspected", "Healthy")
    ]
    other = [run("of-another", "f", "e", 2, modelName=family)] if family else []
    return Estate(
        "demo",
        sources=(data_source(current="e", status={"versions": rows, "currentVersion": version("e", 20000)}),),
        runs=(run("first", "a", "d", 1), run("second", "b", "e", 2, trigger=asked, seed=7), *other),
        deployments=(model_deployment(status=served),),
        monitors=(monitor(status={"windows": judged}),),
    )


BOOK = book(estate())


def lines(found: Iterator[tuple[str, str]]) -> str:
    return "".join(f"{text}\n" for text, _ in found)


WORDS = ("v1", "v2", "dsrc/flights", "flights@dddddddddddd", "mon/flights-late", "mdep/flights-late", "cccccccc")


@pytest.mark.parametrize("word", WORDS)
def test_a_lineage_as_a_person_reads_it(word: str) -> None:
    thing = find(BOOK, word)
    assert thing is not None
    name = word.replace("/", "-").replace("@", "-")
    same_text(f"cli/trace/lineage-{name}.txt", lines(chain.lines(chain.lineage(BOOK, thing, FILES))))


def side(name: str) -> compare.Made:
    run = BOOK.run(name)
    data = BOOK.of_digest(run.data)
    assert data is not None
    return compare.Made(run, compare.Side(data))


def test_a_difference_as_a_person_reads_it() -> None:
    one, other = side("first"), side("second")
    same_text("cli/trace/diff.txt", lines(compare.lines(one.name, other.name, compare.of_runs(one, other))))


# word: (namespace, what is said)
UNCLEAR: dict[str, tuple[Book, str]] = {
    "v2": (book(estate(family="trains-late")), "several models have a v2: flights-late:v2, trains-late:v2; write one"),
    "trains-late:v2": (BOOK, "no run made a v2 of trains-late; known: flights-late:v1, flights-late:v2"),
    "v3": (book(Estate("demo")), "no run made a v3; known: none"),
    "mon/late": (BOOK, "Monitor late does not exist in demo"),
    "flights@ffffffff": (BOOK, "flights@ffffffff is no version of DataSource flights: eeeeeeeeeeee, dddddddddddd"),
}


@pytest.mark.parametrize("word", UNCLEAR)
def test_a_word_that_is_not_clear(word: str) -> None:
    known, text = UNCLEAR[word]
    with pytest.raises(Unknown) as caught:
        find(known, word)
    assert text in str(caught.value)


# word: what it means; None: nothing that an object names.
MEANT = {
    "v1": ("model", digest("a")),
    "flights-late:v2": ("model", digest("b")),
    "bbbbbbbb": ("model", digest("b")),
    f"{digest('b')[:20].upper().replace('SHA', 'sha')}": ("model", digest("b")),
    "tj/first": ("run", "first"),
    "second": ("run", "second"),
    "1" * 12: ("run", "first"),
    "flights": ("data", digest("e")),
    "flights@latest": ("data", digest("e")),
    "flights-late": ("deployment", "flights-late"),
    "monitors.treadle.dev/flights-late": ("monitor", "flights-late"),
    "abc": None,
    "0123456789": None,
    "request/3": None,
}


@pytest.mark.parametrize("word", MEANT)
def test_a_word_that_is_clear(word: str) -> None:
    found = find(BOOK, word)
    assert (found and (found.kind, found.key)) == MEANT[word]
