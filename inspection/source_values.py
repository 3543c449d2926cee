"""What an expression in a flow's source comes to, as far as literals, settings' defaults and constants tell."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from datetime import time, timedelta
from enum import Enum
from typing import Any

from domain.questions import ApprovalPlan, Asked, Stage

_OPERATIONS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_MADE: Mapping[str, Callable[..., Any]] = {
    made.__name__: made for made in (timedelta, time, ApprovalPlan, Stage, Asked)
}
"""What may be called: it makes a value, and does nothing else."""


class Values:
    """`defaults`: of the flow's settings, by name. `constants`: the names that its module has."""

    def __init__(self, defaults: Mapping[str, object], constants: Mapping[str, object]) -> None:
        self._defaults = defaults
        self._constants = constants

    def of(self, source: str | ast.expr | None) -> Any:
        """The value; None if it is not known, or is None."""
        node = expression(source) if isinstance(source, str) else source
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._constants.get(name)
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr="settings"), attr=name):
                return self._defaults.get(name)
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                choices = self._constants.get(owner)
                known = isinstance(choices, type) and issubclass(choices, Enum)
                return getattr(choices, name, None) if known else None
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                values = tuple(self.of(part) for part in parts)
                return None if None in values else values
            case ast.Call(func=func, args=args, keywords=words) if (name := _last(func)) in _MADE:
                if not all(word.arg and self._is_known(word.value) for word in words):
                    return None
                placed, given = [self.of(arg) for arg in args], {str(word.arg): self.of(word.value) for word in words}
                return _calculated(lambda: _MADE[name](*placed, **given)) if None not in placed else None
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() as op, right=right):
                first, second = self._quantity(left), self._quantity(right)
                return _calculated(lambda: _OPERATIONS[type(op)](first, second))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._quantity(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _calculated(lambda: -self._quantity(operand))
        return None

    def _is_known(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Constant) or self.of(node) is not None

    def _quantity(self, node: ast.expr) -> Any:
        """A number or a time, with which calculations are quick."""
        value = self.of(node)
        return value if isinstance(value, int | float | timedelta) else None


def expression(source: str) -> ast.expr | None:
    try:
        return ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _last(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def _calculated(calculate: Callable[[], Any]) -> Any:
    try:
        return calculate()
    except (TypeError, ValueError, ArithmeticError):
        return None
