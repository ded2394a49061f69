"""Files of rows, tame and hostile, and what `treadle init` should find in each."""

import csv
import importlib.util
import io
import json
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

type Row = dict[str, Any]


def as_csv(rows: Iterable[Row], delimiter: str = ",", *, header: bool = True) -> bytes:
    text = io.StringIO(newline="")
    found = list(rows)
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerows([*([list(found[0])] if header else []), *(list(row.values()) for row in found)])
    return text.getvalue().encode()


def as_jsonl(rows: Iterable[Row]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_parquet(columns: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def toy(name: str) -> bytes:
    import sklearn.datasets

    found = getattr(sklearn.datasets, f"load_{name}")()
    classes = found.target_names if name in ("iris", "wine", "breast_cancer") else None
    return as_csv(
        {
            **dict(zip(found.feature_names, row, strict=True)),
            "target": classes[label] if classes is not None else label,
        }
        for row, label in zip(found.data, found.target, strict=True)
    )


@cache
def flights_module() -> Any:
    spec = importlib.util.spec_from_file_location("flights", Path(__file__).parents[1] / "hack" / "flights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["flights"] = module
    spec.loader.exec_module(module)
    return module


def flights(*, late: bool) -> bytes:
    """Return 6,000 flights of January; late: with the label, and without what tells it."""
    module = flights_module()
    rows = module.spread(module.flights({1})[1], 6000)
    if not late:
        return bytes(module.as_csv(rows))
    known = [row for row in rows if row["arr_delay"] != "NA"]
    return as_csv({**row, "late": "yes" if int(row["arr_delay"]) > 15 else "no"} for row in known)


def people(rows: int = 600, seed: int = 1) -> list[Row]:
    """Return customers who leave where they are young and pay much."""
    rng = np.random.default_rng(seed)
    age, pays = rng.integers(18, 80, rows), rng.gamma(3, 20, rows)
    left = pays - age + rng.normal(0, 12, rows) > 5
    plan = rng.choice(["basic", "plus", "pro"], rows)
    return [
        {
            "age": int(age[i]),
            "pays": round(float(pays[i]), 2),
            "plan": str(plan[i]),
            "churn": "yes" if left[i] else "no",
        }
        for i in range(rows)
    ]


def hostile() -> dict[str, bytes]:
    """Return tables of the same customers, each with another trap."""
    rows = people()
    first = [{"churn": row["churn"], **row} for row in rows]
    rng = np.random.default_rng(2)
    return {
        "spaces and signs in names": as_csv(
            {
                "age in years": r["age"],
                "pays / month, net": r["pays"],
                "#plan: a [b] {c}": r["plan"],
                "churn": r["churn"],
            }
            for r in rows
        ),
        "unicode": as_csv(
            {"Ålder 年齢": r["age"], "prix €": r["pays"], "план": f"{r['plan']}-é\u2028ö", "churn": r["churn"]}
            for r in rows
        ),
        "quotes": as_csv(
            {"age": r["age"], 'the "real" pay': r["pays"], "it's": r["pays"], "churn": r["churn"]} for r in rows
        ),
        "semicolons and decimal commas": as_csv(
            ({**r, "pays": str(r["pays"]).replace(".", ",")} for r in rows), delimiter=";"
        ),
        "tabs": as_csv(rows, delimiter="\t"),
        "no header": as_csv(rows, header=False),
        "days as text": as_csv({"day": f"{1 + i % 28:02d}.{1 + i // 60:02d}.2013", **r} for i, r in enumerate(rows)),
        "american days": as_csv({"day": f"{1 + i // 60:02d}/{1 + i % 28:02d}/2013", **r} for i, r in enumerate(rows)),
        "moments": as_csv(
            {"seen_at": f"2013-{1 + i // 60:02d}-{1 + i % 28:02d}T10:00:00+02:00", **r} for i, r in enumerate(rows)
        ),
        "booleans as true and false": as_csv({**r, "churn": r["churn"] == "yes"} for r in rows),
        "zeros and ones": as_csv({**r, "churn": int(r["churn"] == "yes")} for r in rows),
        "zeros and ones as floats": as_csv({**r, "churn": float(r["churn"] == "yes")} for r in rows),
        "integers with nulls": as_csv({**r, "age": "" if i % 9 == 0 else r["age"]} for i, r in enumerate(rows)),
        "nulls by many names": as_csv(
            {**r, "age": ("NA", "?", "null")[i // 10 % 3] if i % 10 == 0 else r["age"]} for i, r in enumerate(rows)
        ),
        "labels that are missing": as_csv({**r, "churn": "" if i % 7 == 0 else r["churn"]} for i, r in enumerate(rows)),
        "a constant, an empty and a text column": as_csv(
            {"country": "de", "fax_of": "", "note": f"a remark of {i} words", **r} for i, r in enumerate(rows)
        ),
        "ids": as_csv(
            {"order_no": 5000 + 7 * i, "customer_id": int(rng.integers(0, 150)), **r} for i, r in enumerate(rows)
        ),
        "personal columns": as_csv(
            {
                "email": f"p{i}@example.org",
                "Full Name": f"Ann B{i}",
                "phone": f"+49 30 {100000 + i}",
                "birth_date": f"19{50 + i % 40}-01-02",
                "contact": f"q{i}@example.org",
                "ip": f"10.0.{i % 250}.7",
                "ethnicity": "abc"[i % 3],
                **r,
            }
            for i, r in enumerate(rows)
        ),
        "target first": as_csv(
            {"gone": r["churn"], "age": r["age"], "pays": r["pays"], "when": f"2013-01-{1 + i % 28:02d}"}
            for i, r in enumerate(rows)
        ),
        "target named twice over": as_csv(first),
        "what is known afterwards": as_csv({**r, "refund": r["pays"] if r["churn"] == "yes" else 0} for r in rows),
        "outputs of a model as features": as_csv(
            {"score": r["pays"], "label": r["plan"], "age": r["age"], "churn": r["churn"]} for r in rows
        ),
        "codes with leading zeros": as_csv({"branch": f"{i % 7:05d}", **r} for i, r in enumerate(rows)),
        "words of yaml": as_csv(
            {"yes": r["age"], "null": r["pays"], "on": ("on", "off", "no")[i % 3], "~": i % 2, "churn": r["churn"]}
            for i, r in enumerate(rows)
        ),
        "a byte order mark and windows lines": b"\xef\xbb\xbf" + as_csv(rows).replace(b"\n", b"\r\n"),
        "lines within fields": as_csv({**r, "plan": f"{r['plan']}\nmore"} for r in rows),
        "json lines": as_jsonl({**r, "tags": ["a", "b"]} for r in rows),
        "parquet": as_parquet(
            {
                "age": pa.array([r["age"] for r in rows], pa.int16()),
                "pays": pa.array([r["pays"] for r in rows], pa.float32()),
                "plan": pa.array([r["plan"] for r in rows]).dictionary_encode(),
                "since": pa.array(np.arange(600) * 86_400_000, pa.timestamp("ms")),
                "photo": pa.array([b"x"] * 600),
                "churn": pa.array([r["churn"] == "yes" for r in rows]),
            }
        ),
        "a rare class": as_csv({**r, "churn": "maybe" if i in (3, 400) else r["churn"]} for i, r in enumerate(rows)),
    }


@dataclass(frozen=True)
class Wanted:
    """What is expected of a table: target and task, the roles of columns that are no plain features, and more."""

    target: str
    task: str
    roles: dict[str, str] = field(default_factory=dict)
    split: str = "Random"
    args: tuple[str, ...] = ()
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)


BINARY, MANY, NUMBER = "BinaryClassification", "MulticlassClassification", "Regression"
CHURN = Wanted("churn", BINARY)
FLIGHT = {"time_hour": "time", "tailnum": "none"}

TOYS: dict[str, tuple[Callable[[], bytes], Wanted]] = {
    "iris": (lambda: toy("iris"), Wanted("target", MANY)),
    "wine": (lambda: toy("wine"), Wanted("target", MANY)),
    "breast_cancer": (lambda: toy("breast_cancer"), Wanted("target", BINARY)),
    "diabetes": (lambda: toy("diabetes"), Wanted("target", NUMBER)),
    "digits": (
        lambda: toy("digits"),
        Wanted("target", MANY, dict.fromkeys(("pixel_0_0", "pixel_4_0", "pixel_4_7"), "none")),
    ),
    "flights": (lambda: flights(late=False), Wanted("arr_delay", NUMBER, FLIGHT, "Time")),
    "late flights": (
        lambda: flights(late=True),
        Wanted("late", BINARY, FLIGHT | {"arr_delay": "outcome"}, "Time", spec={"format": {"name": "csv"}}),
    ),
}
NOT_PUBLIC = {"role": "none", "type": "string", "classification": "personal"}
TRAPS: dict[str, Wanted] = {
    "spaces and signs in names": CHURN,
    "unicode": CHURN,
    "quotes": Wanted("churn", BINARY, spec={"schema.onExtraColumn": "Drop"}),
    "semicolons and decimal commas": Wanted(
        "churn",
        BINARY,
        {"pays": "none"},
        spec={"format": {"name": "csv", "delimiter": ";"}},
        columns={
            "pays_number": {
                "type": "double",
                "expression": "CAST(replace(replace(\"pays\", '.', ''), ',', '.') AS DOUBLE)",
            }
        },
    ),
    "tabs": Wanted("churn", BINARY, spec={"format": {"name": "csv", "delimiter": "\t"}}),
    "no header": Wanted("column_4", BINARY, spec={"format": {"name": "csv", "header": False}}),
    "days as text": Wanted("churn", BINARY, {"day": "none", "day_time": "time"}, "Time"),
    "american days": Wanted(
        "churn",
        BINARY,
        {"day": "none", "day_time": "time"},
        "Time",
        columns={"day_time": {"expression": "strptime(\"day\", '%m/%d/%Y')", "type": "timestamp"}},
    ),
    "moments": Wanted("churn", BINARY, {"seen_at": "time"}, "Time"),
    "booleans as true and false": Wanted("churn", BINARY, columns={"churn": {"type": "boolean"}}),
    "zeros and ones": Wanted("churn", BINARY, columns={"churn": {"type": "integer"}}),
    "zeros and ones as floats": Wanted("churn", BINARY, columns={"churn": {"type": "double"}}),
    "integers with nulls": Wanted("churn", BINARY, columns={"age": {"type": "integer"}}),
    "nulls by many names": Wanted(
        "churn", BINARY, spec={"format": {"name": "csv", "nullValues": ["", "NA", "?", "null"]}}
    ),
    "labels that are missing": CHURN,
    "a constant, an empty and a text column": Wanted(
        "churn", BINARY, {"country": "none", "fax_of": "none", "note": "none"}
    ),
    "ids": Wanted("churn", BINARY, {"order_no": "id", "customer_id": "group"}),
    "personal columns": Wanted(
        "churn",
        BINARY,
        dict.fromkeys(("email", "Full Name", "phone", "birth_date", "contact", "ip", "ethnicity"), "none"),
        columns={
            "email": NOT_PUBLIC,
            "contact": NOT_PUBLIC,
            "ethnicity": {**NOT_PUBLIC, "classification": "sensitive"},
        },
    ),
    "target first": Wanted("gone", BINARY, {"when": "time"}, "Time"),
    "target named twice over": CHURN,
    "what is known afterwards": Wanted("churn", BINARY, {"refund": "outcome"}),
    "outputs of a model as features": Wanted(
        "churn", BINARY, {"score": "none", "label": "none"}, args=("--target", "churn")
    ),
    "codes with leading zeros": Wanted("churn", BINARY, columns={"branch": {"type": "string"}}),
    "words of yaml": CHURN,
    "a byte order mark and windows lines": CHURN,
    "lines within fields": CHURN,
    "json lines": Wanted("churn", BINARY, spec={"format": {"name": "jsonl"}, "schema.onExtraColumn": "Drop"}),
    "parquet": Wanted(
        "churn", BINARY, {"since": "time"}, "Time", spec={"format": {"name": "parquet"}, "schema.onExtraColumn": "Drop"}
    ),
    "a rare class": Wanted("churn", MANY),
}

NAMES = [*TOYS, *TRAPS]


@cache
def table(name: str) -> tuple[bytes, Wanted]:
    """Return a file's bytes and what is wanted of it."""
    if name in TOYS:
        return TOYS[name][0](), TOYS[name][1]
    return hostile()[name], TRAPS[name]


COLUMN_NAMES = (
    *(
        "a",
        "b c",
        "target",
        "label",
        "score",
        "id",
        "Name",
        "e-mail",
        "time",
        "Date",
        "yes",
        "null",
        "~",
        "#x",
        "{y}",
        "[z]",
    ),
    *("k: v", "ä", "😀", "age", "hour", "price", "x" * 120, "'q'", "ip", "2013", " lead", "trail ", "a,b", "tab\tname"),
    *('q"q', "", "-", "&a", "*b", "!c", "%d", "@e", "`f"),
)
VALUES: tuple[Callable[[random.Random], object], ...] = (
    lambda r: r.randint(-5, 5),
    lambda r: r.random(),
    lambda r: r.choice("abc"),
    lambda r: r.choice(("yes", "no")),
    lambda r: r.choice(("true", "false", "")),
    lambda r: "",
    lambda r: f"{r.randint(1, 28):02d}/{r.randint(1, 12):02d}/2013",
    lambda r: f"2013-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}",
    lambda r: f"2013-{r.randint(1, 12):02d}-{r.randint(1, 28):02d} 10:{r.randint(0, 59):02d}:00",
    lambda r: r.choice(("NA", "?", "1", "2.5")),
    lambda r: f"{r.randint(0, 999)},{r.randint(0, 99)}",
    lambda r: f"x{r.randint(0, 10**6)}",
    lambda r: r.randint(0, 10**20),
    lambda r: r.choice(("inf", "1.5", "nan")),
    lambda r: f"{r.randint(0, 99):04d}",
    lambda r: f"a{r.randint(0, 9)}@example.org",
    lambda r: "line\nbreak",
    lambda r: 'q"uo,te;',
    lambda r: r.choice("äöü€😀\u2028\x85\t"),
    lambda r: r.randint(0, 1),
    lambda r: float(r.randint(0, 2)),
    lambda r: r.choice((" 1", " 2 ")),
    lambda r: f"{r.randint(0, 23)}:{r.randint(0, 59)}",
    lambda r: r.choice(("0x1F", "1_000", "١٢")),
    lambda r: r.choice(("1e5", "2E-3")),
)


def random_table(seed: int) -> bytes:
    """Return a table of columns that chance chose: its names, values, delimiter and length."""
    chance = random.Random(seed)
    makers = {name: chance.choice(VALUES) for name in chance.sample(COLUMN_NAMES, chance.randint(1, 8))}
    rows = [{name: make(chance) for name, make in makers.items()} for _ in range(chance.choice((20, 60, 300)))]
    return as_csv(rows, chance.choice(",;\t|"))
