"""Values in words: durations, moments, weekdays, numbers, and who is asked."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from datetime import time, timedelta

from domain.durations import in_words
from domain.questions import ApprovalPlan, Asked, Stage
from domain.working_time import Weekday
from inspection.source_values import Values, expression

_LONGEST_SOURCE = 80
_OWN = re.compile(r"\bself\.(settings\.)?")


def plain(source: str) -> str:
    """Source as people read it: on one line, without `self.settings.`, and not too long."""
    short = _OWN.sub("", " ".join(source.split()))
    return short if len(short) <= _LONGEST_SOURCE else f"{short[: _LONGEST_SOURCE - 1]}…"


def who_decides(plan: ApprovalPlan) -> str:
    """`any sales_manager`, `all of marketing, legal, then the lead's owner`: stage after stage."""
    return ", then ".join(map(_stage, plan.stages))


def expiry(plan: ApprovalPlan) -> str:
    each = "each " if len(plan.stages) > 1 else ""
    return f"{each}expires after {in_words(plan.expires_after)}"


def until_decided(plan: ApprovalPlan) -> str:
    """`reminded every day, any sales_manager too after 2 days, expires after 3 days`: what happens meanwhile."""
    told = []
    if plan.remind_every is not None:
        told.append(f"reminded {every(plan.remind_every)}")
    if plan.escalate_after is not None and plan.escalate_to is not None:
        told.append(f"{one_of(plan.escalate_to)} too after {in_words(plan.escalate_after)}")
    return ", ".join([*told, expiry(plan)])


def every(pause: timedelta) -> str:
    """`every day`, `every 8 hours`."""
    return f"every {re.sub(r'^1 (?=[a-z]+$)', '', in_words(pause))}"


def one_of(asked: Asked) -> str:
    return f"any {asked}" if asked.role else str(asked)


def _stage(stage: Stage) -> str:
    names = ", ".join(map(str, stage.asks))
    if len(stage.asks) > 1:
        return f"{'all' if stage.needs == 'all' else 'any'} of {names}"
    (asked,) = stage.asks
    return f"every {asked}" if asked.role and stage.needs == "all" else one_of(asked)


class SaidValues:
    """Each says what the source of an argument comes to, and else the source itself."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def value(self, source: str | None) -> str:
        """`20 (click_points)` for a setting, else the literal, as text without quotes."""
        value = self._values.of(source)
        if isinstance(value, timedelta):
            return self.duration(source)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return f"{value}{self.named(source or '')}"
        return plain(source or "what is not given")

    def text(self, source: str | None) -> str | None:
        value = self._values.of(source)
        return value if isinstance(value, str) else None

    def items(self, source: str | None) -> list[str]:
        """Each part of a tuple, or the whole if it is none that is known."""
        node, value = expression(source or ""), self._values.of(source)
        if isinstance(node, ast.Tuple | ast.List):
            return [self.value(ast.unparse(part)) for part in node.elts]
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [str(item) for item in value]
        return [plain(source or "what is not given")]

    def keys(self, source: str | None) -> str:
        match expression(source or ""):
            case ast.Dict(keys=keys):
                return ", ".join(self.value(ast.unparse(key)) for key in keys if key is not None)
        return plain(source or "what is not given")

    def duration(self, source: str | None) -> str:
        if source is None:
            return "a time that is not given"
        value = self._values.of(source)
        return self._time(value, source) if isinstance(value, timedelta) else plain(source)

    def moment(self, source: str | None) -> str:
        match expression(source or ""):
            case ast.BinOp(left=left, op=ast.Add(), right=right) if ast.unparse(left) == "self.entered_at":
                value = self._values.of(right)
                if isinstance(value, timedelta):
                    return self._time(value, ast.unparse(right), " after entering")
        return plain(source or "a moment that is not given")

    def local_time(self, at: str | None, days: str | None) -> str:
        """`Tue–Thu 09:30`, `09:30` for any day."""
        moment = self._values.of(at)
        told = f"{moment:%H:%M}{self.named(at or '')}" if isinstance(moment, time) else plain(at or "a time")
        return " ".join(filter(None, (self._days(days), told)))

    def plan(self, source: str | None) -> ApprovalPlan | None:
        value = self._values.of(source)
        return value if isinstance(value, ApprovalPlan) else None

    def asked(self, source: str | None) -> str:
        value = self._values.of(source)
        return one_of(value) if isinstance(value, Asked) else plain(source or "nobody")

    def reminded(self, source: str | None) -> str:
        """`; reminded every 8 hours (remind_every)`, or nothing."""
        pause = self._values.of(source)
        if isinstance(pause, timedelta):
            return f"; reminded {every(pause)}{self.named(source or '')}"
        return f"; reminded every {plain(source)}" if source not in (None, "None") else ""

    def named(self, source: str) -> str:
        """The setting that a value comes from, in brackets."""
        return f" ({plain(source)})" if "self.settings." in source else ""

    def _days(self, source: str | None) -> str:
        found = self._values.of(source)
        if not isinstance(found, Sequence) or not all(isinstance(day, Weekday) for day in found):
            return plain(source or "")
        numbers = sorted({Weekday(day).number for day in found})
        if len(numbers) == len(Weekday):
            return ""
        short = [list(Weekday)[number].capitalize()[:3] for number in numbers]
        in_a_row = len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1
        return f"{short[0]}–{short[-1]}" if in_a_row else ", ".join(short)

    def _time(self, value: timedelta, source: str, after: str = "") -> str:
        if timedelta(0) < value < timedelta(seconds=1):
            return f"{value / timedelta(milliseconds=1):g} milliseconds{after}"
        return f"{in_words(max(value, timedelta(0)))}{after}{self.named(source)}"
