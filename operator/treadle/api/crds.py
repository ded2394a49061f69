"""From models to CustomResourceDefinitions: schema, rules, columns, short names, scale."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from treadle.api import names
from treadle.api.datasource import DataSourceSpec, DataSourceStatus
from treadle.api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from treadle.api.monitor import MonitorSpec, MonitorStatus
from treadle.api.rules import rule
from treadle.api.trainingjob import TrainingJobSpec, TrainingJobStatus

type Node = dict[str, Any]

LIMIT_BYTES = 150_000
KEPT = [
    "type",
    "description",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "maxProperties",
    "format",
    "x-kubernetes-int-or-string",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
]


def _column(name: str, path: str, type_: str = "string", *, wide: bool = False) -> Node:
    column = {"name": name, "type": type_, "jsonPath": path}
    return column | {"priority": 1} if wide else column


def _summary(condition: str) -> list[Node]:
    path = f".status.conditions[?(@.type=='{condition}')]"
    return [_column("Ready", f"{path}.status"), _column("Reason", f"{path}.reason")]


def _message(condition: str) -> Node:
    return _column("Message", f".status.conditions[?(@.type=='{condition}')].message", wide=True)


AGE = _column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True, slots=True)
class Definition:
    """What a CRD says besides its schema."""

    kind: str
    short_name: str
    spec: type[BaseModel]
    status: type[BaseModel]
    about: str
    columns: list[Node]
    selectable: tuple[str, ...] = ()
    scale: bool = False
    name_limit: int = 40


DEFINITIONS = (
    Definition(
        "DataSource",
        "dsrc",
        DataSourceSpec,
        DataSourceStatus,
        "Immutable dataset versions of one source: fetched, checked, protected, split, published.",
        [
            *_summary("Ready"),
            _column("Version", ".status.currentVersion.short"),
            _column("Rows", ".status.currentVersion.rows", "integer"),
            _column("Fresh", ".status.currentVersion.publishedAt", "date"),
            AGE,
            _message("Ready"),
            _column("Schedule", ".spec.schedule", wide=True),
            _column("Next", ".status.nextScheduleTime", wide=True),
            _column("Digest", ".status.currentVersion.digest", wide=True),
        ],
    ),
    Definition(
        "TrainingJob",
        "tj",
        TrainingJobSpec,
        TrainingJobStatus,
        "One immutable run: resolve, prepare, fit, evaluate, package, sign, gate.",
        [
            _column("Status", ".status.conditions[?(@.type=='Complete')].reason"),
            _column("Progress", ".status.progress.percentage", "integer"),
            _column("Metric", ".status.primaryMetric.name"),
            _column("Value", ".status.primaryMetric.value"),
            _column("Gate", ".status.gate.verdict"),
            AGE,
            _column("Model", ".status.model.version", wide=True),
            _column("Data", ".status.data.short", wide=True),
            _column("Trigger", ".spec.trigger.kind", wide=True),
            _message("Complete"),
        ],
        selectable=(".spec.modelName", ".spec.dataRef.name"),
        name_limit=51,
    ),
    Definition(
        "ModelDeployment",
        "mdep",
        ModelDeploymentSpec,
        ModelDeploymentStatus,
        "One champion at a stable Service; candidates are tried beside it; retrains start from its template.",
        [
            *_summary("Ready"),
            _column("Champion", ".status.champion.version"),
            _column("Candidate", ".status.candidate.version"),
            _column("Weight", ".status.candidate.weight", "integer"),
            _column("Replicas", ".status.readyReplicas", "integer"),
            AGE,
            _column("Verdict", ".status.candidate.verdict", wide=True),
            _column("Digest", ".status.champion.digest", wide=True),
            _column("URL", ".status.endpoint.url", wide=True),
            _message("Ready"),
        ],
        selectable=(".spec.modelName",),
        scale=True,
    ),
    Definition(
        "Monitor",
        "mon",
        MonitorSpec,
        MonitorStatus,
        "Judges each window of a deployment's prediction log and asks for action.",
        [
            _column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
            _column("Verdict", ".status.lastWindow.verdict"),
            _column("Worst-Column", ".status.lastWindow.worstColumn"),
            _column("Samples", ".status.lastWindow.samples", "integer"),
            _column("Last-Window", ".status.lastWindow.end", "date"),
            AGE,
            _column("Target", ".spec.targetRef.name", wide=True),
            _column("Next-Retrain", ".status.retrain.nextAllowedAt", wide=True),
            _message("Ready"),
        ],
        selectable=(".spec.targetRef.name",),
    ),
)


def crd(definition: Definition) -> Node:
    """Return the CustomResourceDefinition of a kind."""
    plural = names.PLURALS[definition.kind]
    limit = definition.name_limit
    schema = {
        "type": "object",
        "description": definition.about,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(definition.spec),
            "status": structural(definition.status, is_status=True),
        },
        "x-kubernetes-validations": [
            rule(
                f"size(self.metadata.name) <= {limit}",
                f"name has more than {limit} characters; the names of children are made from it",
            )
        ],
    }
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    version = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}} | ({"scale": scale} if definition.scale else {}),
        "additionalPrinterColumns": definition.columns,
        "selectableFields": [{"jsonPath": path} for path in definition.selectable],
    }
    if not definition.selectable:
        del version["selectableFields"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": definition.kind,
                "listKind": f"{definition.kind}List",
                "plural": plural,
                "singular": definition.kind.lower(),
                "shortNames": [definition.short_name],
                "categories": ["treadle"],
            },
            "versions": [version],
        },
    }


def structural(model: type[BaseModel], *, is_status: bool = False) -> Node:
    """Return a model's schema as Kubernetes takes it: references inlined, no null branch, no closed objects."""
    document = model.model_json_schema(by_alias=True)
    return _node(document, document.get("$defs", {}), defaults=not is_status, described=True)


def _node(node: Node, definitions: Node, *, defaults: bool, described: bool) -> Node:
    node = _resolved(node, definitions)
    out = {key: node[key] for key in KEPT if key in node}
    if not defaults or isinstance(out.get("default"), dict | list) or out.get("default", ...) is None:
        out.pop("default", None)
    if not described:
        out.pop("description", None)
    if node.get("const") is not None:
        out["enum"] = [node["const"]]
    if "properties" in node:
        out["properties"] = {
            name: _node(
                child,
                definitions,
                defaults=defaults,
                # The recipe inside a ModelDeployment is described once, in the TrainingJob: plain apply has a limit.
                described=described and not (name == "spec" and "dataRef" in str(_resolved(child, definitions))),
            )
            for name, child in node["properties"].items()
        }
        if required := node.get("required"):
            out["required"] = required
    elif isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = _node(
            node["additionalProperties"], definitions, defaults=defaults, described=described
        )
    if "items" in node:
        out["items"] = _node(node["items"], definitions, defaults=False, described=described)
    if out.get("type") == "integer":
        out["format"] = "int64"
    return out


def _resolved(node: Node, definitions: Node) -> Node:
    """Return a node without references and null branches; what stands beside a reference wins over what it names."""
    while True:
        branches = node.get("anyOf") or node.get("allOf")
        if branches:
            kept = [branch for branch in branches if branch.get("type") != "null"]
            if len(kept) != 1:
                raise ValueError(f"a structural schema has no unions: {node}")
            beside = {key: value for key, value in node.items() if key not in ("anyOf", "allOf")}
            node = kept[0] | beside
        elif "$ref" in node:
            target = definitions[node["$ref"].removeprefix("#/$defs/")]
            beside = {key: value for key, value in node.items() if key != "$ref"}
            rules = target.get("x-kubernetes-validations", []) + beside.get("x-kubernetes-validations", [])
            node = target | beside | ({"x-kubernetes-validations": rules} if rules else {})
        else:
            return node


def render(definition: Definition) -> str:
    """Return a CRD as YAML; raise ValueError when it is too large for a plain apply."""
    import yaml

    # Through JSON, so that what the models share is written out where it stands, and not as an alias.
    plain = json.loads(json.dumps(crd(definition)))
    text: str = yaml.safe_dump(plain, sort_keys=False, width=120, allow_unicode=True)
    if len(text.encode()) > LIMIT_BYTES:
        raise ValueError(f"{definition.kind}: {len(text.encode())} bytes, at most {LIMIT_BYTES}")
    return f"# Generated by make crds from treadle.api. Do not edit.\n{text}"


def main(arguments: list[str]) -> int:
    """Write the CRDs into a directory, or with --check say which are stale there."""
    check = "--check" in arguments
    directory = Path(next(argument for argument in arguments if not argument.startswith("--")))
    stale = []
    for definition in DEFINITIONS:
        path = directory / f"{names.PLURALS[definition.kind]}.yaml"
        text = render(definition)
        if check and (not path.exists() or path.read_text() != text):
            stale.append(path)
        if not check:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for path in stale:
        sys.stderr.write(f"{path} is stale: run make crds\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
