"""The model card of a run: Markdown with a YAML head, as model hubs read it."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from treadle.api.base import Json, moment
from treadle.api.causes import cause
from treadle.api.names import short
from treadle.sheet import bare
from treadle.store import keys
from treadle.training.opened import TRUSTED

PIPELINES = {
    "BinaryClassification": "tabular-classification",
    "MulticlassClassification": "tabular-classification",
    "Regression": "tabular-regression",
}
"""Names of tasks on the Hugging Face hub (huggingface.co/docs/hub/models-tasks)."""
OPENED_BY = {"onnx": "onnxruntime", "skops": "skops"}


def card(document: Json) -> str:
    """Return the card of a run; document: as `report.document` makes it."""
    sections = (what, use, data, metrics, gate, limits, making, loading)
    return "\n".join([*head(document), *(line for section in sections for line in (*section(document), ""))])


def head(document: Json) -> list[str]:
    """Return the YAML head: tags, and the metrics as a model index."""
    model, found = document["model"], document["data"]
    pipeline = PIPELINES[document["task"]]
    tags = [pipeline, "treadle", model["format"], document["estimator"]["name"]]
    measured = [
        line
        for metric in document["metrics"]
        for line in (
            f"    - type: {metric['name']}",
            f"      name: {quoted(titled(metric))}",
            f"      value: {metric['value']}",
            *(f"      {bound}: {metric[bound]}" for bound in ("lower", "upper") if bound in metric),
            *([f"      slice: {quoted(metric['slice'])}"] if metric.get("slice") else []),
        )
    ]
    return [
        "---",
        f"model_name: {quoted(model['name'])}",
        f"version: {quoted(model['version'])}",
        f"digest: {quoted(model['digest'])}",
        f"library_name: {model['format'] if model['format'] == 'onnx' else 'sklearn'}",
        f"pipeline_tag: {pipeline}",
        f"tags: {json.dumps(tags)}",
        "model-index:",
        f"- name: {quoted(model['name'])}",
        "  results:",
        f"  - task: {{type: {pipeline}, name: {document['task']}}}",
        "    dataset:",
        f"      type: {quoted(found['name'])}",
        f"      name: {quoted(found['name'])}",
        f"      revision: {quoted(found['digest'])}",
        "      split: holdout",
        "    metrics:",
        *measured,
        "---",
        "",
    ]


def what(document: Json) -> Iterator[str]:
    """Yield what the model is, and how its run ended."""
    model, verdict = document["model"], document["verdict"]
    yield f"# {model['name']} {model['version']}"
    yield ""
    yield f"**{verdict['outcome']}**: {text(bare(verdict['message']))}"
    yield ""
    yield from table(
        ("", ""),
        [
            ("Digest", code(model["digest"])),
            ("Task", f"{document['task']}: {code(document['target'])} from {len(document['inputs'])} columns"),
            ("Estimator", code(document["estimator"]["name"])),
            ("Format", text(f"{model['format']}, {opened(document)}")),
            ("Data", f"{code(document['data']['digest'])}, DataSource {document['data']['name']}"),
            ("Run", f"{document['object']['kind']} {document['object']['name']}, run {code(document['run'])}"),
            ("Cause", cause(document["cause"])),
            ("Judged at", document["decidedAt"]),
        ],
    )


def use(document: Json) -> Iterator[str]:
    """Yield what it is meant for."""
    yield "## Intended use"
    yield ""
    target, classes = code(document["target"]), document["classes"]
    if document["task"] == "Regression":
        answers = f"The score is the value of {target} that it expects."
    elif document["task"] == "BinaryClassification":
        answers = (
            f"The score is the probability that {target} is {code(classes[-1])}; the label is {code(classes[-1])} at "
            f"{document['threshold']} or above."
        )
    else:
        answers = f"The label is one of {', '.join(code(name) for name in classes)}, the score its probability."
    yield (
        f"Predict {target} for rows like those of DataSource {document['data']['name']}, from columns that are known "
        f"before the event. {answers}"
    )


def data(document: Json) -> Iterator[str]:
    """Yield the rows and columns that it learnt from."""
    found = document["data"]
    since, until = found["window"].get("since"), found["window"].get("until")
    window = f" since {since or 'the first'} until {until or 'the last'}" if since or until else ""
    yield "## Data"
    yield ""
    yield (
        f"Version {code(found['digest'])}. It learnt from {found['trainRows']} labelled train rows{window} and was "
        f"judged on {found['holdoutRows']} labelled holdout rows."
    )
    yield ""
    yield from table(
        ("Part", "Rows", "From", "Until", "Content"),
        [
            (name, part["rows"], part.get("from", ""), part.get("until", ""), code(short(part["digest"])))
            for name, part in found["splits"].items()
        ],
    )
    yield ""
    yield from table(
        ("Column", "Type", "Role", "Input", "Class", "Stored as", "In the train rows"),
        [
            (
                code(column["name"]),
                column["type"],
                column["role"],
                "yes" if column["used"] else "no",
                column["classification"],
                STORED[column.get("action", "")],
                text(column["seen"]),
            )
            for column in document["columns"]
        ],
    )


STORED = {"": "it is", "Keep": "it is", "Hash": "a keyed hash", "Drop": "nothing"}


def metrics(document: Json) -> Iterator[str]:
    """Yield what was measured, with intervals, over all rows and for each slice."""
    how, rows = document["bootstrap"], document["gate"]["rows"]
    counts = {part["name"]: part["rows"] for part in document["slices"]}
    yield "## Metrics"
    yield ""
    yield f"On {rows} holdout rows; intervals hold {how['confidence']} of {how['samples']} bootstrap resamples."
    yield ""
    yield from table(
        ("Metric", "Slice", "Rows", "Value", "Lower", "Upper"),
        [
            (
                metric["name"],
                metric.get("slice") or "all",
                counts.get(metric.get("slice"), rows),
                metric["value"],
                metric.get("lower", "unknown"),
                metric.get("upper", "unknown"),
            )
            for metric in document["metrics"]
        ],
    )
    if document["slices"]:
        yield ""
        yield from (f"- {part['name']}: {code(part['expression'])}" for part in document["slices"])


def gate(document: Json) -> Iterator[str]:
    """Yield the verdict, what it was compared with, and each check."""
    found, verdict = document["gate"], document["verdict"]
    yield "## Gate"
    yield ""
    yield f"{verdict['outcome']} ({verdict['reason']}), by {found['metric']} on holdout {code(found['holdoutDigest'])}."
    if "champion" in found:
        value = f", {found['metric']} {found['championValue']}" if "championValue" in found else ""
        why = f"; it could not be scored: {text(found['unscorable'])}" if "unscorable" in found else ""
        yield f"The champion was {found['championName']} ({code(found['champion'])}){value}{why}."
    else:
        yield "There was no champion to beat."
    if "difference" in found:
        gap = found["difference"]
        bounds = f" [{gap['lower']}, {gap['upper']}]" if "lower" in gap else ""
        yield f"Paired difference, positive when better: {gap['value']}{bounds}."
    if found["checks"]:
        yield ""
        yield from table(
            ("Check", "Needed", "Found", "Lower", "Upper", "Result"),
            [
                (
                    text(check["name"]),
                    check["threshold"],
                    check["value"],
                    check.get("lower", "unknown"),
                    check.get("upper", "unknown"),
                    check["result"],
                )
                for check in found["checks"]
            ],
        )


def limits(document: Json) -> Iterator[str]:
    """Yield what these numbers do not say."""
    yield "## Limits"
    yield ""
    yield from (f"- {text(sentence)}" for sentence in document["limits"])


def making(document: Json) -> Iterator[str]:
    """Yield how it was made, so that it can be made again."""
    environment, prepared = document["environment"], document["preparation"]
    parameters = document["estimator"].get("parameters") or {}
    steps = [
        f"{item['type']} of {', '.join(code(name) for name in item['columns'])}"
        for item in prepared.get("transforms") or []
    ]
    yield "## How it was made"
    yield ""
    yield from table(
        ("", ""),
        [
            ("Estimator", code(document["estimator"]["name"])),
            *((f"Parameter {code(name)}", code(value)) for name, value in sorted(parameters.items())),
            ("Preparation", "; ".join([prepared["mode"], *steps])),
            ("Objective", document["objective"]["metric"]),
            ("Seed", document["seed"]),
            ("Treadle", environment.get("sourceRevision", "")),
            ("Packages", code(environment.get("packagesDigest", ""))),
            *((name, number) for name, number in document["libraries"].items()),
        ],
    )


def loading(document: Json) -> Iterator[str]:
    """Yield where the files lie, and the lines that open the model."""
    model = document["model"]
    path = next(file["path"] for file in model["files"] if file["path"].startswith("model."))
    yield "## How to load it"
    yield ""
    yield (
        f"A ModelDeployment of {code(model['name'])} serves it behind its Service; treadle predict shows a request. "
        "Its files lie below the namespace's prefix in the bucket, under the sha256 of their bytes:"
    )
    yield ""
    yield from table(
        ("File", "Bytes", "Key"),
        [(code(file["path"]), file["bytes"], code(keys.blob(file["sha256"]))) for file in model["files"]],
    )
    yield ""
    yield "```python"
    yield from onnx_lines(document, path) if model["format"] == "onnx" else skops_lines(document, path)
    yield "```"


def onnx_lines(document: Json, path: str) -> Iterator[str]:
    """Yield Python that asks the ONNX graph for one row."""
    yield "import numpy as np"
    yield "import onnxruntime"
    yield ""
    yield f'session = onnxruntime.InferenceSession("{path}")'
    yield "row = {"
    for column in document["inputs"]:
        kind = "object" if column["type"] == "string" else "np.float32"
        yield f"    {column['name']!r}: np.array([[{example(column)}]], {kind}),"
    yield "}"
    if document["task"] == "Regression":
        yield 'print(session.run(["score"], row)[0])'
    else:
        yield f"classes = {document['classes']!r}"
        yield 'labels, probabilities = session.run(["label", "score"], row)'
        yield "print(classes[labels[0]], probabilities)"


def skops_lines(document: Json, path: str) -> Iterator[str]:
    """Yield Python that asks the scikit-learn pipeline for one row."""
    values = ", ".join(example(column) for column in document["inputs"])
    has_text = any(column["type"] == "string" for column in document["inputs"])
    yield "import numpy as np"
    yield "import skops.io"
    yield ""
    yield f'pipeline = skops.io.load("{path}", trusted={sorted(TRUSTED)!r})'
    yield f"# in the order {', '.join(column['name'] for column in document['inputs'])}"
    yield f"row = np.array([[{values}]], {'object' if has_text else 'np.float64'})"
    yield f"print(pipeline.{'predict' if document['task'] == 'Regression' else 'predict_proba'}(row))"


def example(column: Json) -> str:
    """Return a value of an input as Python; what is not public, or has none, is missing."""
    value: Any = column.get("example")
    if column["type"] == "string":
        return repr(value if value is not None else "")
    if isinstance(value, str):
        text = value if "T" in value else f"{value}T00:00:00"
        parsed = datetime.fromisoformat(text)
        # As the graph takes a moment: seconds since 1970.
        return repr(moment(text if parsed.tzinfo else f"{text}Z").timestamp())
    return "np.nan" if value is None else repr(float(value))


def opened(document: Json) -> str:
    """Return by what the file is opened, and why it is no ONNX."""
    form, libraries = document["model"]["format"], document["libraries"]
    by = f"opened by {OPENED_BY[form]} {libraries[OPENED_BY[form]]}"
    if form == "onnx":
        return by
    listed = f"only types on the list of skops and {', '.join(sorted(TRUSTED))} are made"
    return f"{by}, scikit-learn {libraries['scikit-learn']}; {listed}" + (
        f"; ONNX cannot express it: {document['blocked']}" if document["blocked"] else ""
    )


def titled(metric: Json) -> str:
    """Return a metric with its slice and interval, for hubs that show no more than a name."""
    where = f", {metric['slice']}" if metric.get("slice") else ""
    bounds = f" [{metric['lower']}, {metric['upper']}]" if "lower" in metric else ""
    return f"{metric['name']}{where}{bounds}"


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield a table."""
    yield f"| {' | '.join(names)} |"
    yield f"|{'--|' * len(names)}"
    yield from (f"| {' | '.join(str(value) for value in row)} |" for row in rows)


def quoted(value: str) -> str:
    """Return text as a YAML string; a JSON string is one."""
    return json.dumps(value, ensure_ascii=False)


def text(value: str) -> str:
    """Return text of a person's so that it is no markup."""
    return re.sub(r"([\\`*<|])", r"\\\1", value)


def code(value: str) -> str:
    """Return text as it stands, as code."""
    fence = "``" if "`" in value else "`"
    pad = " " if "`" in value else ""
    return f"{fence}{pad}{value.replace('|', chr(92) + '|')}{pad}{fence}" if value else ""
