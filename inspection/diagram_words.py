"""What a flow's steps, times and tests are called where people read of them: on its diagram and on its page."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias, assert_never

from domain.durations import in_words
from domain.flows import FlowSettings
from inspection.outline import Loop, Step

Kind: TypeAlias = Literal["start", "message", "wait", "question", "choice", "loop", "finish", "end"]

_LONGEST_SOURCE = 80
_OPERATIONS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_OWN = re.compile(r"\bself\.(settings\.)?")


@dataclass(frozen=True)
class Shown:
    """A step in words. `kind` decides its shape; `does` is a clause for a table."""

    kind: Kind
    title: str
    detail: str
    does: str


class Words:
    """`defaults`: of the flow's settings, by name, as far as they have one."""

    def __init__(self, defaults: Mapping[str, object]) -> None:
        self._defaults = defaults

    @classmethod
    def of(cls, settings: type[FlowSettings]) -> Words:
        fields = settings.model_fields.items()
        return cls(
            {name: field.get_default(call_default_factory=True) for name, field in fields if not field.is_required()}
        )

    def step(self, step: Step) -> Shown:
        """The one place that knows what each verb is called: a new verb gets a case here."""
        match step.verb:
            case "send":
                message = "" if step.message in (None, step.name) else f" {step.message}"
                return Shown("message", step.name, f"email{message}", f"sends the email {step.message or step.name}")
            case "wait":
                limit = self.duration(step.limit)
                return Shown("wait", step.name, limit, f"waits {limit}")
            case "wait_until":
                moment = f"until {self.moment(step.limit)}"
                return Shown("wait", step.name, moment, f"waits {moment}")
            case "happened":
                event, limit = step.event or step.name, self.duration(step.limit)
                told = f"waits for {event}, {limit} at the longest"
                return Shown("wait", step.name, f"until {event}, {limit} at the longest", told)
            case "finish":
                return Shown("finish", step.name, "finish", "ends the journey, as completed")
        assert_never(step.verb)

    def question(self, step: Step) -> tuple[str, str]:
        """Title and detail of a `happened` whose answer decides how the journey goes on."""
        event = step.event or step.name
        return f"{event} within {self.duration(step.limit)}?", "" if step.name == event else step.name

    def test(self, source: str) -> str:
        """Any other test that decides how the journey goes on."""
        return f"{_plain(source)}?"

    def header(self, loop: Loop) -> str:
        return _plain(loop.header)

    def duration(self, source: str | None) -> str:
        """`3 days (hand_after)` for a setting, `3 days` for a literal, else the source."""
        if source is None:
            return "a time that is not given"
        tree = _expression(source)
        value = self._value(tree) if tree else None
        if not isinstance(value, timedelta):
            return _plain(source)
        return self._said(value, source)

    def moment(self, source: str | None) -> str:
        """`14 days after entering (check_in_after)`, as far as it is counted from there; else the source."""
        match _expression(source or ""):
            case ast.BinOp(left=left, op=ast.Add(), right=right) if ast.unparse(left) == "self.entered_at":
                value = self._value(right)
                if isinstance(value, timedelta):
                    return self._said(value, ast.unparse(right), " after entering")
        return _plain(source or "a moment that is not given")

    def _said(self, value: timedelta, source: str, after: str = "") -> str:
        if timedelta(0) < value < timedelta(seconds=1):
            return f"{value / timedelta(milliseconds=1):g} milliseconds{after}"
        named = f" ({_plain(source)})" if "self.settings." in source else ""
        return f"{in_words(max(value, timedelta(0)))}{after}{named}"

    def _value(self, node: ast.expr) -> timedelta | float | None:
        """What an expression of literals and settings comes to."""
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr="settings"), attr=name):
                default = self._defaults.get(name)
                return default if isinstance(default, timedelta | int | float) else None
            case ast.Call(func=ast.Name(id="timedelta") | ast.Attribute(attr="timedelta"), args=[], keywords=words):
                given = {word.arg: self._value(word.value) for word in words}
                return _calculated(lambda: timedelta(**given))  # type: ignore[arg-type]
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() as op, right=right):
                first, second = self._value(left), self._value(right)
                return _calculated(lambda: _OPERATIONS[type(op)](first, second))
        return None


def _expression(source: str) -> ast.expr | None:
    try:
        return ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _calculated(calculate: Callable[[], Any]) -> timedelta | float | None:
    try:
        result = calculate()
    except (TypeError, ValueError, ArithmeticError):
        return None
    return result if isinstance(result, timedelta | int | float) else None


def _plain(source: str) -> str:
    """Source as people read it: on one line, without `self.settings.`, and not too long."""
    short = _OWN.sub("", " ".join(source.split()))
    return short if len(short) <= _LONGEST_SOURCE else f"{short[: _LONGEST_SOURCE - 1]}…"
