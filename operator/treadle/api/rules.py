"""CEL rules and the schema marks of Kubernetes, as data that a model carries into its CRD."""

from typing import Any

from pydantic import ConfigDict

type Rule = dict[str, Any]

KEY_PATTERN = "(AKIA|ASIA)[A-Z0-9]{16}|-----BEGIN|gh[opsu]_[A-Za-z0-9]{30}|xox[abp]-"

SECRET_NAME: Rule = {
    "rule": "self.name.startsWith('treadle-')",
    "message": "Secrets used by Treadle have names that begin with treadle-",
}


def cel(*rules: Rule) -> ConfigDict:
    """Return the model_config by which a model's CRD schema carries these rules."""
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": list(rules)})


def field_cel(*rules: Rule) -> dict[str, Any]:
    """Return the json_schema_extra by which a field's CRD schema carries these rules."""
    return {"x-kubernetes-validations": list(rules)}


def list_map(*keys: str) -> dict[str, Any]:
    """Return the marks of a list whose items are merged by key."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def rule(expression: str, message: str) -> Rule:
    """Return a rule with a fixed text."""
    return {"rule": expression, "message": message}


def exactly_one(*fields: str) -> Rule:
    """Return rule X1: one of these fields is set; the text names those found."""
    count = f"[{', '.join(f'has(self.{field})' for field in fields)}].filter(x, x).size()"
    # A fold by hand: `join` is an extension of Kubernetes, and the rules keep to standard CEL.
    parts = []
    for position, field in enumerate(fields):
        before = " || ".join(f"has(self.{earlier})" for earlier in fields[:position])
        comma = f"({before} ? ', ' : '') + " if before else ""
        parts.append(f"(has(self.{field}) ? {comma}'{field}' : '')")
    found = f"({count} == 0 ? 'none' : {' + '.join(parts)})"
    return {
        "rule": f"{count} == 1",
        "messageExpression": f"'set exactly one of {', '.join(fields)}; found ' + {found}",
        "message": f"set exactly one of {', '.join(fields)}",
    }


def goes_with(field: str, mode: str, value: str) -> Rule:
    """Return rule X2: a field is set exactly when a mode has a value."""
    return rule(
        f"(self.{mode} == '{value}') == has(self.{field})", f"{field} goes with {mode}: {value}, and only with it"
    )


def no_credentials(field: str) -> Rule:
    """Return rule G2 for a URI field, on its parent, so that the refusal does not repeat the value."""
    return rule(
        f"!has(self.{field}) || !self.{field}.matches('://[^/]*@')",
        "credentials in a URI are refused; put them into a Secret and name it in secretRef",
    )


def no_keys(field: str) -> Rule:
    """Return rule G4 for a map of literals, on its parent."""
    return rule(
        f"!has(self.{field}) || self.{field}.all(k, !self.{field}[k].matches('{KEY_PATTERN}'))",
        f"{field} holds what looks like a literal key; put it into a Secret",
    )


def immutable(field: str) -> Rule:
    """Return rule T1 for one field of a TrainingJob's spec."""
    return rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field} is immutable: a TrainingJob is one run. Create a new one; only suspend may change",
    )
