"""What clauses of segments compare with, and how that is said in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
)

from domain.durations import in_words
from domain.limits import Duration

ValueT = TypeVar("ValueT")

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
EmailDomain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+$", max_length=253)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
"""Of an attribute or a property: any text of one line."""
FlowName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
StepName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
MOST = 10**15
"""Of numbers: as far as every database tells whole ones apart."""


def _number(value: object) -> object:
    # Before the types of the union, each of which would tell an error of its own.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST <= value <= MOST:
        raise ValueError("expected a number between -10^15 and 10^15")
    return value


def _value(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and 0 < len(value) <= 2_000 and not _UNSTORABLE.search(value):
        return value
    if isinstance(value, int | float) and -MOST <= value <= MOST:
        return value
    raise ValueError("expected a text of 1 to 2000 characters, a number between -10^15 and 10^15, true or false")


def _some_time(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("is no time at all: expected one such as P7D")
    return value


Period = Annotated[Duration, AfterValidator(_some_time)]
Score = Annotated[StrictInt, Field(ge=-(10**9), le=10**9)]
Number = Annotated[StrictInt | StrictFloat, BeforeValidator(_number)]
Value = Annotated[StrictBool | StrictInt | StrictFloat | StrictStr, BeforeValidator(_value)]
"""Text, number or boolean; one never equals another: "5" is not 5."""
Count = Annotated[StrictInt, Field(ge=0, le=10_000)]
Some = Annotated[tuple[ValueT, ...], Field(min_length=1, max_length=500)]

_OPERATORS = {
    "is": "is",
    "is_not": "is not",
    "is_one_of": "is one of",
    "contains": "contains",
    "starts_with": "starts with",
    "at_least": "is at least",
    "at_most": "is at most",
    "before": "is before",
    "after": "is after",
    "within": "is in the last",
}


def operator_in_words(operator: str, value: Any) -> str:
    if operator == "is_known":
        return "is known" if value else "is not known"
    return f"{_OPERATORS[operator]} {value_in_words(value)}"


def value_in_words(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case timedelta():
            return in_words(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case Sequence() if not isinstance(value, str):
            return ", ".join(map(value_in_words, value))
        case _:
            return str(value)


def in_the_last(within: timedelta | None) -> str:
    return f" in the last {in_words(within)}" if within else ""
