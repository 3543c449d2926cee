"""What tells the rounds of a loop apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from inspection.verb_calls import Method


@dataclass(frozen=True)
class LoopKeys:
    """A loop's variables that have another value in each round. `values` are what it goes over, if written down."""

    line: int
    names: frozenset[str]
    values: tuple[str, ...] | None = None
    counted: bool = False
    """Whether it goes over whole numbers."""
    target: str | None = None
    """The one of `names` that takes these values; the others are computed from it."""


def keys_of(loop: ast.For | ast.While) -> LoopKeys:
    """A for-loop's target, a while-loop's counter, and what is computed from them in the loop."""
    assigned = list(_assignments(loop))
    if isinstance(loop, ast.For):
        names = set(_names(loop.target))
    else:
        names = {name for name, value, adds in assigned if adds or name in _names(value)}
    for name, value, _ in assigned:
        if names & set(_names(value)):
            names.add(name)
    values = _written_values(loop)
    target = loop.target.id if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name) else None
    return LoopKeys(loop.lineno, frozenset(names), values, _is_counted(loop), target)


def seen_from(method: Method, call: ast.Call, loops: tuple[LoopKeys, ...]) -> tuple[LoopKeys, ...]:
    """The loops around a call, with their keys under the names that the called method has for them."""
    parameters = [parameter.arg for parameter in (*method.args.posonlyargs, *method.args.args)][1:]
    given = dict(zip(parameters, call.args, strict=False))
    given |= {word.arg: word.value for word in call.keywords if word.arg}
    return tuple(
        LoopKeys(
            loop.line,
            frozenset(name for name, value in given.items() if _is_name(value, *loop.names)),
            loop.values,
            loop.counted,
            next((name for name, value in given.items() if loop.target and _is_name(value, loop.target)), None),
        )
        for loop in loops
    )


def _is_name(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _assignments(loop: ast.For | ast.While) -> Iterator[tuple[str, ast.expr, bool]]:
    """Name, value, and whether the value is added to the present one."""
    for node in ast.walk(loop):
        match node:
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                yield name, value, True
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value, False
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                yield name, value, False
            case ast.Assign(targets=targets, value=value):
                yield from ((name, value, False) for target in targets for name in _names(target))


def _names(node: ast.AST) -> Iterator[str]:
    return (name.id for name in ast.walk(node) if isinstance(name, ast.Name))


def _written_values(loop: ast.For | ast.While) -> tuple[str, ...] | None:
    """What the loop goes over, if that is written there."""
    if isinstance(loop, ast.For) and isinstance(loop.iter, ast.Tuple | ast.List) and isinstance(loop.target, ast.Name):
        values = [item.value for item in loop.iter.elts if isinstance(item, ast.Constant)]
        if len(values) == len(loop.iter.elts):
            return tuple(map(str, values))
    return None


def _is_counted(loop: ast.For | ast.While) -> bool:
    over = loop.iter if isinstance(loop, ast.For) else None
    return isinstance(over, ast.Call) and _is_name(over.func, "range")
