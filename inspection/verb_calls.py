"""How the verbs of `workflows.flow.Flow` are called. A new verb is one more row of `ARGUMENTS`, and of outline.Verb."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from inspection.outline import Verb

Method: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Arguments(NamedTuple):
    """Names of the arguments that may be given by place, and of the one that says how long a step waits."""

    by_place: tuple[str, ...]
    limit: str = ""


ARGUMENTS: dict[Verb, Arguments] = {
    "send": Arguments(("step", "message")),
    "wait": Arguments(("step", "duration"), limit="duration"),
    "wait_until": Arguments(("step", "moment"), limit="moment"),
    "happened": Arguments(("step",), limit="within"),
    "finish": Arguments(("step",)),
}


def verb_of(call: ast.AST) -> Verb | None:
    """The verb that is called, if it is `self.<verb>(…)`."""
    if isinstance(call, ast.Call) and (name := _of_self(call.func)) in ARGUMENTS:
        return name
    return None


def own_method(call: ast.AST, methods: Iterable[str]) -> str | None:
    """The method of the flow that is called, if it is `self.<method>(…)`."""
    if isinstance(call, ast.Call) and (name := _of_self(call.func)) in methods:
        return name
    return None


def argument(call: ast.Call, verb: Verb, name: str) -> ast.expr | None:
    """The argument of that name, however it is given."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if name in ARGUMENTS[verb].by_place:
        place = ARGUMENTS[verb].by_place.index(name)
        if place < len(call.args) and not any(isinstance(given, ast.Starred) for given in call.args[: place + 1]):
            return call.args[place]
    return None


def written_name(node: ast.expr | None) -> str:
    """A name with what is computed in braces: `tip`, `reminder-{week}`. Empty if there is none."""
    match node:
        case None | ast.Constant(value=None):
            return ""
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_part(part) for part in parts)
    return f"{{{ast.unparse(node)}}}"


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return f"{{{ast.unparse(part.value)}}}"
    return str(part.value) if isinstance(part, ast.Constant) else ""


def _of_self(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return node.attr
    return ""
