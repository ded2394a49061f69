"""Objects as rows: what `kubectl get` prints, one function a column."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from treadle.local.server import builtin
from treadle.local.server.cells import Column, found, since
from treadle.local.server.columns import AGE, BUILT_IN, NAME
from treadle.local.server.types import Type

type Object = dict[str, Any]


def table(objects: Sequence[Object], type_: Type, now: datetime, *, include: str, headings: bool = True) -> Object:
    """Return objects as a Table without its metadata; with each row the whole object, its metadata or nothing."""
    columns = columns_of(type_)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [_heading(column) for column in columns] if headings else None,
        "rows": [
            {"cells": [column.cell(raw, now) for column in columns], "object": _included(raw, include)}
            for raw in objects
        ],
    }


def partial(raw: Object) -> Object:
    """Return an object's metadata as an object of its own."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": raw["metadata"]}


@cache
def columns_of(type_: Type) -> tuple[Column, ...]:
    """Return the columns of a type."""
    if type_.is_ours:
        version = builtin.custom()[type_.gvk.kind]["spec"]["versions"][0]
        return (NAME, *(_printer(each) for each in version["additionalPrinterColumns"]))
    return BUILT_IN.get(type_.gvk.kind, (NAME, AGE))


def _heading(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": int(column.wide),
    }


def _included(raw: Object, include: str) -> Any:
    return {"Object": raw, "None": None}.get(include, partial(raw))


def _printer(column: Object) -> Column:
    path, type_ = column["jsonPath"], column["type"]

    def cell(raw: Object, now: datetime) -> Any:
        value = found(raw, path)
        match type_, value:
            case _, None:
                return None
            case "date", str():
                return since(value, now)
            case "integer", int() | float():
                return int(value)
            case "string", bool():
                return str(value).lower()
            case "string", _:
                return str(value)
        return None

    about = f"Custom resource definition column (in JSONPath format): {path}"
    return Column(column["name"], cell, type_, bool(column.get("priority")), description=about)
