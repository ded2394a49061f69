"""Manifests of the four kinds, and changes by which they are taken or refused: the files of api/cel."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

type Json = dict[str, Any]

FILES = Path(__file__).parent / "api" / "cel"
STRUCTURAL = Path(__file__).parent / "semantics" / "schema.yaml"
RECIPE = "spec.training.template.spec"


class Loader(yaml.SafeLoader):
    """YAML with what would be long to write: a digest, a text of so many characters, the spec of another file."""


def digest(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return f"sha256:{loader.construct_scalar(node)!s:0<64}"


def repeat(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> str:
    text, times = loader.construct_sequence(node)
    return str(text) * int(times)


def recipe(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return copy.deepcopy(cases_of(str(loader.construct_scalar(node)))["manifest"]["spec"])


Loader.add_constructor("!digest", digest)
Loader.add_constructor("!repeat", repeat)
Loader.add_constructor("!recipe", recipe)


@cache
def cases_of(kind: str) -> Json:
    """Return the cases of a kind; those of a recipe are cases of its template too."""
    cases: Json = yaml.load((FILES / f"{kind.lower()}.yaml").read_text(), Loader)
    if kind == "ModelDeployment":
        cases["refused"] |= {
            f"template: {name}": {path.replace("spec", RECIPE, 1): value for path, value in changes.items()}
            for name, changes in cases_of("TrainingJob")["refused"].items()
        }
    return cases


def changed(manifest: Json, changes: Json) -> Json:
    """Return a manifest with fields set, items added at the end of a list, or taken away by null."""
    out = copy.deepcopy(manifest)
    for path, value in changes.items():
        *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        node: Any = out
        for step in parents:
            node = node[step] if isinstance(node, list) else node.setdefault(step, {})
        if value is None:
            del node[last]
        elif isinstance(node, list) and last == len(node):
            node.append(value)
        else:
            node[last] = value
    return out


def manifest(kind: str, changes: Json) -> Json:
    return changed(cases_of(kind)["manifest"], changes)


def free(kind: str, changes: Json) -> Json:
    """Return a manifest with changes, under a name that no object has: a dry run too refuses a name that is taken."""
    return changed(changed(cases_of(kind)["manifest"], {"metadata.name": "another"}), changes)


@cache
def structural() -> Json:
    """Return the cases of semantics/schema.yaml."""
    cases: Json = yaml.load(STRUCTURAL.read_text(), Loader)
    return cases


def structural_rows(section: str) -> dict[str, tuple[str, Any]]:
    """Return kind and changes of each case of a section, by a sentence."""
    return {
        f"{kind}: {name}": (kind, changes)
        for kind, cases in structural()[section].items()
        for name, changes in cases.items()
    }
