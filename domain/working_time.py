"""Working time: weekly hours where a person is, without public holidays and absences."""

from __future__ import annotations

from datetime import date, time
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


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

    begins: time = Field(examples=["09:00"])
    ends: time = Field(examples=["18:00"])

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.begins >= self.ends:
            raise ValueError("hours have to end after they begin, on the same day")
        if self.begins.tzinfo or self.ends.tzinfo:
            raise ValueError("hours are wall-clock times, without a time zone")
        return self


WorkingHours = Annotated[dict[Weekday, Annotated[list[Hours], Field(max_length=6)]], Field(max_length=7)]
"""Hours by weekday; a day that is left out is free."""
OFFICE_HOURS: dict[Weekday, list[Hours]] = {day: [Hours(begins=time(9), ends=time(18))] for day in WORKDAYS}


class Absence(BaseModel):
    """Whole days, both included, where the person is. `delegate` (a person's id) answers approvals meanwhile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_day: date
    last_day: date
    delegate: str | None = Field(default=None, max_length=36)

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.last_day < self.first_day:
            raise ValueError("an absence cannot end before it begins")
        return self
