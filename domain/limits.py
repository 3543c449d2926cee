"""What any text, object or time from outside must keep to, so that every store and transport can hold it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
)

MAX_DEPTH = 8
MAX_OBJECT_CHARACTERS = 20_000
_ISO_DURATION = re.compile(r"-?P(?=.)(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WALL_TIME = "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _storable(value: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("control characters are not allowed")
    return value


def _leaves(value: JsonValue, depth: int = 0) -> Iterator[str | int | float | bool | None]:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield None  # counts: a long list of empty lists is not small
            yield from _leaves(inner, depth + 1)
    else:
        yield value


def size_of(value: JsonValue) -> int:
    """Characters of all names and texts, and eight for each other value."""
    return sum(len(leaf) if isinstance(leaf, str) else 8 for leaf in _leaves(value))


def _bounded(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for leaf in _leaves(value):
        if isinstance(leaf, str) and _UNSTORABLE.search(leaf):
            raise ValueError("the character U+0000 and halves of surrogate pairs are not allowed")
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise ValueError("NaN and Infinity are not JSON")
        if isinstance(leaf, int) and abs(leaf) > 2**63:
            raise ValueError("a whole number must fit into 64 bits")
    if size_of(value) > MAX_OBJECT_CHARACTERS:
        raise ValueError(f"holds more than {MAX_OBJECT_CHARACTERS} characters")
    return value


def _plausible(value: datetime) -> datetime:
    # Compared before any conversion: year 1 or 9999 with an offset overflows on the way to UTC.
    if not 2000 <= value.year <= 2100:
        raise ValueError("expected a time between the years 2000 and 2100")
    return value.astimezone(UTC)


def _duration(value: object) -> object:
    if isinstance(value, timedelta) or (isinstance(value, str) and _ISO_DURATION.fullmatch(value)):
        return value
    raise ValueError("expected an ISO 8601 duration such as P3D, PT12H or P1DT6H, without months and years")


def _day(value: object) -> object:
    if isinstance(value, str) and _ISO_DAY.fullmatch(value):
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("expected a day such as 2026-12-24")


def _plausible_day(value: date) -> date:
    if not 2000 <= value.year <= 2100:
        raise ValueError("expected a day between the years 2000 and 2100")
    return value


def _wall_time(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(_WALL_TIME, value):
        return value
    if isinstance(value, time) and value.tzinfo is None and value.microsecond == 0:
        return value
    raise ValueError("expected a time of day such as 09:30, without a time zone")


def _id(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError("is not a UUID") from None


Text = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True), AfterValidator(_storable)]
JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_bounded)]
Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0), le=timedelta(days=730))]
"""ISO 8601 in JSON (`P3D`, `PT90S`), from zero to two years; a bare number is refused, since its unit is a guess."""
Day = Annotated[date, BeforeValidator(_day), AfterValidator(_plausible_day)]
"""A date of the calendar, without a time; a number is refused, as for durations."""
WallTime = Annotated[time, BeforeValidator(_wall_time), WithJsonSchema({"type": "string", "pattern": _WALL_TIME})]
"""A time of day to the second, wherever its reader is: `09:30`, in JSON `09:30:00`."""
Id = Annotated[str, StringConstraints(max_length=64), AfterValidator(_id), Field(json_schema_extra={"format": "uuid"})]
"""A UUID in its usual form, as text."""
