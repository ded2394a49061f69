"""A proposal as the text of four manifests."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from treadle.api.base import Json
from treadle.api.datasource import Format
from treadle.api.trainingjob import Task
from treadle.cli.draft.conclude import Proposal
from treadle.cli.draft.propose import Proposed, privacy

FILES = ("datasource.yaml", "trainingjob.yaml", "modeldeployment.yaml", "monitor.yaml")
BUCKET = "raw"
ENDPOINT = "http://treadle-storage.demo.svc:7070"
"""The object store of the chart's quickstart; `treadle up` reads its own folder instead."""
WIDTH = 118
CELL_BYTES = 160
"""Memory of an ingest for each value of a table: the file, its texts, typed columns, and copies between stages.

Measured: 510 MiB for the 336,776 flights of 2013 in ten columns."""


@dataclass(frozen=True, slots=True)
class Named:
    """Who the objects are, and which file they are about."""

    name: str
    namespace: str
    file: str
    cells: int
    """Rows by columns."""


def manifests(named: Named, form: Format, proposal: Proposal) -> dict[str, str]:
    """Return the four manifests by the names of their files."""
    texts = (
        datasource(named, form, proposal),
        trainingjob(named, proposal),
        modeldeployment(named, proposal),
        monitor(named, proposal),
    )
    return dict(zip(FILES, texts, strict=True))


def datasource(named: Named, form: Format, proposal: Proposal) -> str:
    """Return the DataSource of a file that lies in a bucket."""
    found = proposal.draft
    written = {key: value for key, value in form.dump().items() if value != Format(name=form.name).dump().get(key)}
    suffix = re.sub(r"[^\w.]", "", "." + named.file.rpartition(".")[2]) if "." in named.file else ""
    return "\n".join(
        [
            f"# {told(named.file)} as versions to learn from: {proposal.rows} rows when `treadle init` read it.",
            *([f"# Left out: {told(text)}." for text in found.left_out]),
            *head("DataSource", named.name, named),
            "  source:",
            "    s3:",
            f"      storageUri: s3://{BUCKET}/{named.name}/  # each matching file below is read, all as one table",
            f"      include: {scalar('*' + suffix)}",
            f"      endpoint: {ENDPOINT}  # treadle up: .treadle/buckets instead",
            "      secretRef: {name: treadle-raw}  # the AWS_* keys",
            f"  format: {flow({'name': form.name.value, **written})}",
            '  schedule: "15 3 * * *"  # same bytes again: Unchanged, no version, no run',
            "  schema:",
            *(["    onExtraColumn: Drop  # absent: a column that is not listed is an error"] if found.left_out else []),
            "    columns:  # no role: feature. No classification: public",
            *(f"      - {flow(each.column.dump())}{comment(each.why)}" for each in found.columns),
            *hints(found.columns),
            *privacy_lines(proposal),
            "  quality:",
            "    leakage: Block  # refuses a version in which a feature alone tells the target",
            "    checks:",
            f'      - {{name: enough, severity: Block, table: "count(*) >= {max(1, proposal.rows // 2)}"}}'
            "  # half the rows of today are no version",
            f"  split: {flow(split(proposal))}{comment(proposal.split_why)}",
            f"  {resources(named, '100m', '384Mi')}",
            "",
        ]
    )


def split(proposal: Proposal) -> Json:
    """Return how rows are assigned; a seed only where it has an effect."""
    written = proposal.split.dump()
    return {key: value for key, value in written.items() if key != "seed" or written["strategy"] == "Random"}


def hints(columns: Sequence[Proposed]) -> list[str]:
    """Return lines to uncomment: features that a time holds, which callers would have to send."""
    times = [each.column.name for each in columns if each.role == "time"]
    return [
        f"      # - {flow({'name': 'weekday', 'type': 'integer', 'expression': f'isodow({quoted(name)})'})}"
        "  # a feature of the time; callers would send it"
        for name in times
        if all(each.column.name.casefold() != "weekday" and each.column.expression is None for each in columns)
    ]


def quoted(name: str) -> str:
    """Return a column in SQL, quoted only where it must be."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else f'"{name}"'


def privacy_lines(proposal: Proposal) -> list[str]:
    """Return what happens to personal values before the first byte is stored."""
    if not proposal.draft.protected:
        return []
    lines = [f"      - {flow(policy)}" for policy in privacy(proposal.draft)["policies"]]
    return [
        "  privacy:  # before the first byte is stored; key hash.key in Secret treadle-privacy",
        "    policies:",
        *lines,
    ]


def trainingjob(named: Named, proposal: Proposal) -> str:
    """Return the first run, by hand."""
    return "\n".join(
        [
            "# The first model, as a run by hand: it must pass its gate to be served. Later runs come by themselves.",
            *head(
                "TrainingJob",
                f"{named.name}-first",
                named,
                "one run: only suspend may change; a new recipe is a new one",
            ),
            *(f"  {text}" for text in recipe(named, proposal, against=True)),
            "",
        ]
    )


def recipe(named: Named, proposal: Proposal, *, against: bool) -> list[str]:
    """Return a TrainingJob's spec; against: whether to name the deployment whose champion is to beat."""
    target, (metric, chance) = proposal.draft.target, proposal.floor
    estimator: Json = {"name": proposal.estimator.value}
    if proposal.parameters:
        estimator["parameters"] = proposal.parameters
    champion = [
        f"  against: {flow({'deploymentRef': {'name': named.name}})}  # its champion, on the same rows; none yet"
    ]
    few = proposal.min_rows < 500
    return [
        f"modelName: {scalar(named.name)}  # v1, v2, … of this name",
        f"dataRef: {flow({'name': named.name})}  # its newest version",
        f"task: {target.task.value}{comment(task_why(proposal))}",
        f"estimator: {flow(estimator)}",
        f"objective: {flow({'metric': proposal.objective})}",
        "seed: 0  # of all randomness: the same data and recipe give the same digest",
        "evaluation:",
        f"  metrics: {flow(proposal.metrics)}  # besides the objective, each with an interval",
        *slices(proposal.draft.columns),
        "gate:  # better than the champion with 95 % confidence, and",
        *(champion if against else []),
        "  floors:",
        f"    - {flow({'metric': metric, 'min': chance})}  # what guessing reaches; raise it when you know more",
        *([f"  minRows: {proposal.min_rows}{comment(FEW)}"] if few else []),
        resources(named, "250m", "512Mi"),
    ]


FEW = "so few holdout rows tell great differences only; with more data remove it: 500"


def task_why(proposal: Proposal) -> str:
    """Return what the column with role target asks for."""
    target = proposal.draft.target
    if target.task is Task.REGRESSION:
        return f"of {target.name}, the column with role target"
    if target.positive is not None:
        return f"of {target.name}; scores are the probability of {target.positive}"
    return f"of {target.name}, {target.facts.distinct} classes"


def slices(columns: Sequence[Proposed]) -> list[str]:
    """Return a line to uncomment: a subgroup of the holdout, after a column with few values."""
    for each in columns:
        column = each.column
        if each.role == "feature" and column.constraints is not None and column.constraints.values:
            value = column.constraints.values[0].replace("'", "''")
            found = [{"name": "one-group", "expression": f"{quoted(column.name)} = '{value}'"}]
            return [f"  # slices: {flow(found)}  # measured on its own, and floors may name it"]
    return []


def modeldeployment(named: Named, proposal: Proposal) -> str:
    """Return the deployment, with the recipe of retrains."""
    return "\n".join(
        [
            f"# One champion behind the Service {named.name}: retrained from a template, tried as a canary.",
            *head("ModelDeployment", named.name, named),
            f"  modelName: {scalar(named.name)}  # serves the newest model of this name that passed the gate",
            "  training:",
            "    triggers: {newData: true}  # a new version of the data starts a run; a Monitor may ask too",
            "    maxPerDay: 4  # generated runs of all causes, one at a time",
            "    template:",
            "      spec:  # a TrainingJob's spec; data version and champion are filled in",
            *(f"        {text}" for text in recipe(named, proposal, against=False)),
            "  predictor: {pod: {resources: {requests: {cpu: 100m, memory: 256Mi}, limits: {memory: 1Gi}}}}",
            "  strategy:",
            "    canary:",
            "      steps:  # shares of requests; a pause is at least so long, and until there are enough samples",
            "        - setWeight: 10",
            "        - pause: {duration: 5m}",
            "        - setWeight: 50",
            "        - pause: {duration: 5m}",
            "      analysis:",
            "        minSamplesPerArm: 200  # a quiet service holds the candidate; kubectl treadle promote ends that",
            '        metrics: [{name: ErrorRate, maxIncrease: "0.05"}]',
            "",
        ]
    )


def monitor(named: Named, proposal: Proposal) -> str:
    """Return the Monitor of the deployment."""
    enough = max(0, min(1000, proposal.train_rows // 2))
    return "\n".join(
        [
            "# Compares each day of predictions with what the champion learnt from, and asks for a retrain.",
            *head("Monitor", named.name, named),
            f"  targetRef: {flow({'name': named.name})}  # a ModelDeployment",
            '  schedule: "5 0 * * *"  # for a first try: window 10m and "*/10 * * * *"',
            "  window: {size: 24h, minSamples: 200}  # fewer predictions say nothing",
            "  drift:",
            '    minEffect: "0.1"  # Kolmogorov-Smirnov distance, or Cramer\'s V',
            "    confirmWindows: 2  # suspected twice in a row is detected",
            "  actions:",
            "    - {name: tell, when: [QualityBreached], do: Notify}",
            "    - {name: relearn, when: [DriftDetected], do: Retrain}  # the ModelDeployment starts the run",
            "  retrain:",
            "    cooldown: 24h",
            "    maxPerDay: 1",
            f"    window: {{since: All, minLabelledRows: {enough}}}  # all rows; the gate asks on the newest holdout",
            "  jobTemplate: {pod: {resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {memory: 1Gi}}}}",
            "",
        ]
    )


def head(kind: str, name: str, named: Named, why: str = "") -> list[str]:
    """Return the lines above a spec."""
    return [
        "apiVersion: treadle.dev/v1alpha1",
        f"kind: {kind}",
        f"metadata: {flow({'name': name, 'namespace': named.namespace})}",
        f"spec:{comment(why)}",
    ]


def resources(named: Named, cpu: str, memory: str) -> str:
    """Return the jobTemplate of a step; its memory limit follows from the size of the table."""
    limit = max(2, math.ceil(named.cells * CELL_BYTES / (1 << 30)))
    wished: Json = {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": f"{limit}Gi"}}
    return f"jobTemplate: {flow({'pod': {'resources': wished}})}"


# YAML.

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*|[0-9]+(m|[KMGT]i)")
# What YAML 1.1 or 1.2 reads as something else than text.
TAKEN = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"})


def scalar(value: Any) -> str:
    """Return a scalar: text plain where every reader takes it for text, else in double quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if PLAIN.fullmatch(text) and text.casefold() not in TAKEN:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def flow(value: Any) -> str:
    """Return a value in flow style, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def comment(text: str) -> str:
    """Return a comment at the end of a line; nothing for no text."""
    return f"  # {told(text)}" if text else ""


def told(text: str) -> str:
    """Return text as a comment may hold it: on one line, without characters that are not seen."""
    return "".join(character if character.isprintable() else "?" for character in text)
