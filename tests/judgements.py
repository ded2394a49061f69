"""Which conditions the code can give: read from its syntax trees, as far as those tell.

A condition is made by yes, no or unknown, of a type and a reason. Both are followed through constants, assignments,
parameters and what functions of the same module return. What comes from elsewhere, such as a step's result or what a
status said before, is not followed: it is open, and says so.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from treadle.api.reasons import Reason

STATUSES = {"yes": "True", "no": "False", "unknown": "Unknown"}


@dataclass(frozen=True, slots=True)
class Values:
    """What an expression can be: these texts, and if it is open, others too."""

    texts: frozenset[str] = frozenset()
    is_open: bool = False

    def __or__(self, other: "Values") -> "Values":
        return Values(self.texts | other.texts, self.is_open or other.is_open)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One call that makes a condition."""

    place: str
    status: str
    types: Values
    reasons: Values


OPEN = Values(is_open=True)
NOT_JUDGED = Values(frozenset({Reason.NOT_JUDGED.value}))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
type Function = ast.FunctionDef | ast.AsyncFunctionDef
NOWHERE = next(node for node in ast.parse("def _(): ...").body if isinstance(node, ast.FunctionDef))


class Module:
    """A module's tree, with its constants and functions by name."""

    def __init__(
        self, source: str, records: dict[str, Values] | None = None, imported: dict[str, ast.expr] | None = None
    ) -> None:
        """Read a source.

        records: of variables, what their attribute `reason` can be.
        imported: constants of other modules, by the names that they have here.
        """
        self.tree = ast.parse(source)
        self.records = records or {}
        self.functions = {node.name: node for node in ast.walk(self.tree) if isinstance(node, FUNCTIONS)}
        self.constants = {**(imported or {}), **dict(assigned(self.tree.body))}

    def judgements(self, place: str = "") -> Iterator[Judgement]:
        """Yield every call of yes, no and unknown."""
        for name, status in STATUSES.items():
            for function, call in self._calls(name):
                reason = argument(call, 1, "reason")
                yield Judgement(
                    f"{place}:{call.lineno}",
                    status,
                    self.values(call.args[0], function),
                    self.values(reason, function) if reason is not None else NOT_JUDGED,
                )

    def calls(self, name: str, *places: int) -> Iterator[tuple[str, tuple[Values, ...]]]:
        """Yield each call of `name`: in which function, and what the arguments at some places can be."""
        for function, call in self._calls(name):
            yield function.name, tuple(self.values(call.args[place], function) for place in places)

    def mentioned(self, *names: str) -> set[str]:
        """Return the reasons that stand anywhere in constants and functions of these names."""
        trees: list[ast.AST] = [self.constants.get(name) or self.functions[name] for name in names]
        return {
            Reason[node.attr].value
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("Reason", "R")
        }

    def values(self, node: ast.expr, function: Function, depth: int = 0) -> Values:
        """Return what an expression of a function can be."""
        if depth > 8:
            return OPEN
        match node:
            case ast.Constant(value=str(text)):
                return Values(frozenset({text}))
            case ast.Constant(value=None):
                return Values()
            case ast.Attribute(value=ast.Name(id="Reason" | "R"), attr=name):
                return Values(frozenset({Reason[name].value}))
            case ast.Attribute(value=ast.Name(id=name), attr="reason") if name in self.records:
                return self.records[name]
            case ast.Call(func=ast.Name(id="Reason" | "R" | "str"), args=[inner]):
                return self.values(inner, function, depth + 1)
            case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                return self._any(self._returned(name), self.functions[name], depth)
            case ast.IfExp(body=first, orelse=second):
                return self._any([first, second], function, depth)
            case ast.BoolOp(op=ast.Or(), values=parts):
                return self._any(parts, function, depth)
            case ast.Subscript(value=ast.Name(id=name)) if isinstance(found := self.constants.get(name), ast.Dict):
                return self._any(found.values, function, depth)
            case ast.Name(id=name):
                return self._named(name, function, depth)
        return OPEN

    def _any(self, nodes: list[ast.expr], function: Function, depth: int) -> Values:
        found = Values()
        for node in nodes:
            found |= self.values(node, function, depth + 1)
        return found

    def _named(self, name: str, function: Function, depth: int) -> Values:
        bound = [value for target, value in assigned(list(own(function))) if target == name]
        parameters = [argument_.arg for argument_ in function.args.args]
        if bound:
            return self._any(bound, function, depth)
        if name in parameters:
            return self._passed(name, parameters.index(name), function.name, depth)
        return self.values(self.constants[name], function, depth + 1) if name in self.constants else OPEN

    def _passed(self, name: str, place: int, called: str, depth: int) -> Values:
        """Return what callers in this module give for a parameter; open where none does."""
        found, is_called = Values(), False
        for function, call in self._calls(called):
            given = argument(call, place, name)
            found |= self.values(given, function, depth + 1) if given is not None else OPEN
            is_called = True
        return found if is_called else OPEN

    def _calls(self, name: str) -> Iterator[tuple[Function, ast.Call]]:
        """Yield each call of a name, with the function around it; around those of no function an empty one."""
        inside = {id(node) for function in self.functions.values() for node in own(function)}
        waiting = [(function, own(function)) for function in self.functions.values()]
        waiting.append((NOWHERE, (node for node in ast.walk(self.tree) if id(node) not in inside)))
        for function, nodes in waiting:
            for node in nodes:
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                    yield function, node

    def _returned(self, name: str) -> list[ast.expr]:
        return [node.value for node in own(self.functions[name]) if isinstance(node, ast.Return) and node.value]


def own(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of a function, but not of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, FUNCTIONS):
            yield node
            waiting += ast.iter_child_nodes(node)


def assigned(nodes: list[ast.stmt] | list[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """Yield names and what is assigned to them, tuples name by name."""
    for node in nodes:
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for name, value in zip(target.elts, node.value.elts, strict=True):
                    if isinstance(name, ast.Name):
                        yield name.id, value
            elif isinstance(target, ast.Tuple):
                # Taken apart: no expression says which part is which.
                for name in target.elts:
                    if isinstance(name, ast.Name):
                        yield name.id, node.value


def argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    """Return an argument by its place or name."""
    if len(call.args) > place:
        return call.args[place]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def modules(
    directory: Path, records: dict[str, Values] | None = None, imported: dict[str, ast.expr] | None = None
) -> Iterator[tuple[str, Module]]:
    """Yield the modules of a package, with their names; or one module."""
    for path in sorted(directory.rglob("*.py")) or [directory]:
        yield path.name, Module(path.read_text(), records, imported)


def arguments(place: int, names: tuple[str, ...], *paths: Path) -> Values:
    """Return what an argument can be in all calls of these names in packages or modules."""
    found = Values()
    for path in paths:
        for _, module in modules(path):
            for name in names:
                for _, (value,) in module.calls(name, place):
                    found |= value
    return found
