"""Working time: weekly hours where a person is, without public holidays and absences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.clock_changes import steady_times
from domain.limits import Day, Id, WallTime


class Weekday(StrEnum):
    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"

    @property
    def number(self) -> int:
        """As `date.weekday()` counts: Monday is 0."""
        return list(Weekday).index(self)


WORKDAYS = (Weekday.MONDAY, Weekday.TUESDAY, Weekday.WEDNESDAY, Weekday.THURSDAY, Weekday.FRIDAY)


class Hours(BaseModel):
    """From one wall-clock time to another of the same day; `24:00` cannot be said: end a night at 23:59."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    begins: WallTime = Field(examples=["09:00"])
    ends: WallTime = Field(examples=["18:00"])

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.begins >= self.ends:
            raise ValueError("hours have to end after they begin, on the same day")
        return self


WorkingHours = Annotated[dict[Weekday, Annotated[list[Hours], Field(max_length=6)]], Field(max_length=7)]
"""Hours by weekday; a day that is left out is free."""
OFFICE_HOURS: dict[Weekday, list[Hours]] = {day: [Hours(begins=time(9), ends=time(18))] for day in WORKDAYS}


class Absence(BaseModel):
    """Whole days, both included, where the person is. `delegate` (a person's id) answers approvals meanwhile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_day: Day
    last_day: Day
    delegate: Id | None = None

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.last_day < self.first_day:
            raise ValueError("an absence cannot end before it begins")
        return self


NotWorking = Literal["absent", "holiday", "outside_hours"]
_IN_SIGHT = timedelta(days=2 * 365)
"""How far ahead the next working hour is looked for."""
_LONGEST = timedelta(days=10 * 365)
"""How far ahead working time is counted: a bound on the work that a long duration and a minute a week could cause."""
_LONGER_THAN_A_DAY = timedelta(days=2)
"""Longer than any day in which clocks change, too: whatever a day's hours began within it."""


@dataclass(frozen=True)
class Calendar:
    """When somebody works: moments whose wall-clock time in `zone` is in `hours`, on no holiday and no day of absence.

    Time that passes is real time: a night in which the clocks change is an hour longer or shorter than it reads.
    """

    zone: str
    hours: WorkingHours
    holidays: Callable[[int], Collection[date]] | None = None
    """The public holidays of a year; None: there are none. It has to be pure and fast."""
    absences: tuple[Absence, ...] = ()

    def why_not_working(self, moment: datetime) -> NotWorking | None:
        """None: they work then. Of several reasons, the first in the order of `NotWorking`."""
        local = moment.astimezone(self._clock).replace(tzinfo=None)
        if free := self._why_free(local.date()):
            return free
        if any(begins <= local.time() < ends for begins, ends in self._hours_of(local.date())):
            return None
        return "outside_hours"

    def is_working(self, moment: datetime) -> bool:
        return self.why_not_working(moment) is None

    def next_working(self, moment: datetime) -> datetime | None:
        """`moment` (in UTC) if they work then, or when they next do; None: not within two years."""
        return next((begins for begins, _ in self._spans(moment, moment + _IN_SIGHT)), None)

    def working_spell(self, moment: datetime) -> tuple[datetime, datetime] | None:
        """The unbroken working time, from its beginning to its end in UTC, that `moment` is in, or else the next one.

        None: not within two years.
        """
        spell: tuple[datetime, datetime] | None = None
        for begins, ends in self._spans(moment - _LONGER_THAN_A_DAY, moment + _IN_SIGHT):
            if spell and spell[1] == begins:
                spell = spell[0], ends
            elif spell and spell[1] > moment:
                break
            else:
                spell = begins, ends
        return spell if spell and spell[1] > moment else None

    def after_working(self, moment: datetime, duration: timedelta) -> datetime | None:
        """When, in UTC, `duration` of working time has passed since `moment`: within working hours, or as they end.

        None: not within ten years.
        """
        for begins, ends in self._spans(moment, moment + _LONGEST):
            if begins + duration <= ends:
                return begins + duration
            duration -= ends - begins
        return None

    def working_time(self, begin: datetime, end: datetime) -> timedelta:
        """Of the time from `begin` to `end`, what is working time; none if the end comes first."""
        return sum((ends - begins for begins, ends in self._spans(begin, end)), timedelta())

    def _spans(self, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The working time between two moments: in UTC, in order, none of it twice."""
        if not self._weekly_hours:
            return
        # While the clocks do not change, local time is UTC and an offset: what they skip or repeat needs no care here.
        for steady in steady_times(begin.astimezone(UTC), end.astimezone(UTC), self._clock):
            day = (steady.begins + steady.offset).date()
            while day <= (steady.ends + steady.offset).date():
                for opens, closes in self._hours_of(day) if self._why_free(day) is None else ():
                    begins = max(datetime.combine(day, opens, UTC) - steady.offset, steady.begins)
                    ends = min(datetime.combine(day, closes, UTC) - steady.offset, steady.ends)
                    if begins < ends:
                        yield begins, ends
                day += timedelta(days=1)

    def _why_free(self, day: date) -> NotWorking | None:
        if any(absence.first_day <= day <= absence.last_day for absence in self.absences):
            return "absent"
        return "holiday" if self.holidays and day in self.holidays(day.year) else None

    def _hours_of(self, day: date) -> list[tuple[time, time]]:
        return self._weekly_hours.get(day.weekday(), [])

    @cached_property
    def _clock(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def _weekly_hours(self) -> dict[int, list[tuple[time, time]]]:
        """By the number of the weekday, in order, with those that overlap or touch as one."""
        return {day.number: _joined(hours) for day, hours in self.hours.items() if hours}


def _joined(hours: Collection[Hours]) -> list[tuple[time, time]]:
    joined: list[tuple[time, time]] = []
    for begins, ends in sorted((each.begins, each.ends) for each in hours):
        if joined and begins <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ends))
        else:
            joined.append((begins, ends))
    return joined
