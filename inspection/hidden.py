"""Finds calls of verbs in places where a journey cannot be followed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Set
from typing import NamedTuple

from inspection.verb_calls import Method, own_method, verb_of

_PLAIN = "write it as a statement of the journey"
_NOT_CALLED = ("run", "on_event", "conduct")
_PLACES: tuple[tuple[tuple[type[ast.AST], ...], str, str], ...] = (
    ((ast.Lambda,), "in a lambda", _PLAIN),
    ((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), "in a comprehension", "write a for loop"),
    ((ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef), "in a nested function", "make it a method of the flow"),
    ((ast.Try, ast.TryStar), "in a try", "take it out: a verb's failures and exits are the base's to handle"),
    ((ast.With, ast.AsyncWith), "in a with", "take it out"),
    ((ast.BoolOp,), "after and/or", "give it an if of its own"),
    ((ast.IfExp,), "in a conditional expression", "write an if"),
    ((ast.Compare,), "in a chain of comparisons", _PLAIN),
    ((ast.AsyncFor,), "in an async for", "write a plain loop"),
    ((ast.For, ast.While), "in the else of a loop", "write an if behind the loop"),
    ((ast.Call,), "in the arguments of another verb", "give it a line of its own before"),
    ((ast.match_case,), "in the guard of a case", "write an if in the case"),
)


class Hidden(NamedTuple):
    line: int
    called: str
    where: str
    mend: str


def hidden_calls(
    flow_class: ast.ClassDef, methods: Mapping[str, Method], entered: Set[str], followed: Set[int]
) -> Iterator[Hidden]:
    """Each call of a verb, or of a method with verbs, that the journey was not seen to come to.

    `entered` are the methods that it was seen to go through, `followed` the ids of the calls that it came to.
    """
    telling = _telling(methods)
    meant = _meant(methods)
    for name, method in methods.items():
        for call in _calls(method, telling):
            if id(call) in followed:
                continue
            if place := _place(method, call):
                yield Hidden(call.lineno, _called(call), *place)
            elif name in _NOT_CALLED:
                yield Hidden(call.lineno, _called(call), f"in {name}", "tell it in journey")
            elif name in entered:
                yield Hidden(call.lineno, _called(call), "amid another statement", _PLAIN)
            elif name not in meant:
                where = f"in {name}, which the journey never calls,"
                yield Hidden(call.lineno, _called(call), where, f"call self.{name} in journey")
    for node in flow_class.body:
        if node not in methods.values():
            for call in _calls(node, telling):
                yield Hidden(call.lineno, _called(call), "outside of journey", _PLAIN)


def _meant(methods: Mapping[str, Method]) -> set[str]:
    """The methods that the journey calls, even where it cannot be followed: then that is what is told."""
    meant, ahead = set[str](), ["journey"]
    while ahead:
        name = ahead.pop()
        if name in methods and name not in meant:
            meant.add(name)
            ahead += [called for call in ast.walk(methods[name]) if (called := own_method(call, methods))]
    return meant


def _telling(methods: Mapping[str, Method]) -> set[str]:
    """The methods that call a verb, or a method that does."""
    telling: set[str] = set()
    while True:
        more = {name for name, method in methods.items() if any(_calls(method, telling))} - {"journey"}
        if more <= telling:
            return telling
        telling |= more


def _calls(node: ast.AST, methods: Set[str]) -> Iterator[ast.Call]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and (verb_of(call) or own_method(call, methods)):
            yield call


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).removeprefix("self.")


def _place(method: Method, call: ast.Call) -> tuple[str, str] | None:
    """What the call stands in that hides it."""
    parents = {child: parent for parent in ast.walk(method) for child in ast.iter_child_nodes(parent)}
    node: ast.AST = call
    while node is not method:
        parent = parents[node]
        for kinds, where, mend in _PLACES:
            if isinstance(parent, kinds) and parent is not method and not _comes_by(parent, node):
                return where, mend
        node = parent
    return None


def _comes_by(parent: ast.AST, child: ast.AST) -> bool:
    """Whether the journey is followed from the one to the other."""
    match parent:
        case ast.BoolOp(values=[first, *_]) | ast.IfExp(test=first):
            return child is first
        case ast.Compare(left=left, comparators=[right, *_]):
            return child in (left, right)
        case ast.For(orelse=other) | ast.While(orelse=other):
            return child not in other
        case ast.match_case():
            return child is not parent.guard
        case ast.Call():
            return verb_of(parent) is None
    return False
