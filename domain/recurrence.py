"""When something comes again and again, by the clocks of a time zone."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from domain.contacts import TimeZone
from domain.limits import Duration, Moment, WallTime
from domain.working_time import Weekday

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_CRON_PART = re.compile(r"(?:\*|(?P<first>[0-9a-z]{1,3})(?:-(?P<last>[0-9a-z]{1,3}))?)(?:/(?P<step>[0-9]{1,2}))?")


def _cron(value: str) -> str:
    """Five fields of numbers or names, `*`, ranges, lists and steps; in small letters, with one space between them."""
    fields = value.lower().split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError("expected five fields, as 0 9 * * 1: minute, hour, day of the month, month, day of the week")
    for field, (name, least, most, names) in zip(fields, _CRON_FIELDS, strict=True):
        for part in field.split(","):
            if not _is_cron_part(part, least, most, names):
                raise ValueError(f"the {name} has to be *, or numbers from {least} to {most}, as 1,3-5 or */2")
    if fields[2] != "*" and fields[4] != "*":
        raise ValueError("give either a day of the month or a day of the week: what both mean is told in two ways")
    return " ".join(fields)


def _is_cron_part(part: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    found = _CRON_PART.fullmatch(part)
    if found is None or (found["step"] is not None and not 1 <= int(found["step"]) <= most):
        return False
    ends = [_number(end, least, names) for end in (found["first"], found["last"]) if end is not None]
    return all(end is not None and least <= end <= most for end in ends) and ends == sorted(ends, key=lambda e: e or 0)


def _number(word: str, least: int, names: tuple[str, ...]) -> int | None:
    if word.isdecimal():
        return int(word)
    return names.index(word) + least if word in names else None


def _not_too_often(value: timedelta) -> timedelta:
    if value < timedelta(minutes=1):
        raise ValueError("expected a minute or more, as PT1M")
    return value


def _within_a_day(value: timedelta) -> timedelta:
    if value > timedelta(days=1):
        raise ValueError("expected a day or less, as PT30M")
    return value


Cron = Annotated[str, Field(max_length=100), AfterValidator(_cron)]


class Recurrence(BaseModel):
    """At a time of day, on all days, some weekdays or a day of the month; or `every` so often; or as a cron line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: WallTime | None = Field(default=None, examples=["09:00"])
    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)] | None = Field(
        default=None, description="with `at`: on these weekdays alone", examples=[["monday", "thursday"]]
    )
    day_of_month: Annotated[int, Field(strict=True, ge=1, le=31)] | None = Field(
        default=None, description="with `at`: on this day; a month that has not so many days is left out"
    )
    every: Annotated[Duration, AfterValidator(_not_too_often)] | None = Field(
        default=None, description="counted from `starts_at`, or else from 1970 in UTC", examples=["PT6H"]
    )
    cron: Cron | None = Field(
        default=None,
        description="minute, hour, day of the month, month, day of the week (0 is Sunday): one of both days is *",
        examples=["0 9 * * 1"],
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.at, self.every, self.cron)) != 1:
            raise ValueError("give one of at, every and cron")
        if self.at is None and (self.days or self.day_of_month):
            raise ValueError("days and day_of_month go with at")
        if self.days and self.day_of_month:
            raise ValueError("give either days or day_of_month")
        return self


class Timetable(BaseModel):
    """A recurrence where it is told by clocks, between two moments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recurrence: Recurrence
    time_zone: TimeZone = Field(
        default="UTC",
        description="whose clocks tell the time; clock changes are followed",
        examples=["America/Santiago"],
    )
    jitter: Annotated[Duration, AfterValidator(_within_a_day)] = Field(
        default=timedelta(0), description="each time is put off by chance, by this at the most", examples=["PT10M"]
    )
    starts_at: Moment | None = None
    ends_at: Moment | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError("ends_at has to be later than starts_at")
        return self
