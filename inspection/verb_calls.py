"""How the verbs of `workflows.flow.Flow` are called. A new verb is one more row of `ARGUMENTS`, and of outline.Verb."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from inspection.outline import Step, Verb

Method: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Arguments(NamedTuple):
    """Names of the arguments that may be given by place, of the others, and of those that have to be there.

    `waits`: contacts may wait in the step; `limit` is the argument that says how long at the most, if one does.
    """

    by_place: tuple[str, ...]
    by_name: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    waits: bool = False
    limit: str = ""


ARGUMENTS: dict[Verb, Arguments] = {
    "send": Arguments(("step", "message"), ("in_outage",)),
    "wait": Arguments(("step", "duration"), needs=("duration",), waits=True, limit="duration"),
    "wait_until": Arguments(("step", "moment"), needs=("moment",), waits=True, limit="moment"),
    "wait_for_local_time": Arguments(("step", "at", "days"), needs=("at",), waits=True),
    "happened": Arguments(("step",), ("within", "event"), needs=("within",), waits=True, limit="within"),
    "finish": Arguments(("step",)),
    "choose": Arguments(("step",), ("attribute", "among"), needs=("attribute", "among")),
    "bracket": Arguments(("step",), ("attribute", "bounds"), needs=("attribute", "bounds")),
    "update_contact": Arguments(("step", "fields"), needs=("fields",)),
    "set_lifecycle": Arguments(("step", "stage"), needs=("stage",)),
    "change_score": Arguments(("step", "points"), needs=("points",)),
    "set_owner": Arguments(("step", "person_id"), needs=("person_id",)),
    "note": Arguments(("step", "text"), needs=("text",)),
    "sunset": Arguments(("step",)),
    "hand_over": Arguments(("step", "flow"), needs=("flow",)),
    "ask": Arguments(("step", "subject"), ("plan", "facts"), needs=("subject", "plan"), waits=True),
    "task": Arguments(
        ("step", "subject"),
        ("to", "due", "remind_every", "wait"),
        needs=("subject", "to", "due"),
        waits=True,
        limit="due",
    ),
    "assign_lead": Arguments(
        ("step",), ("respond_within",), needs=("respond_within",), waits=True, limit="respond_within"
    ),
}


def waits(step: Step) -> bool:
    """Whether contacts may wait in the step."""
    return ARGUMENTS[step.verb].waits and step.argument("wait") != "False"


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
