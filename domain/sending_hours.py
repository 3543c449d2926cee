"""Sending hours: when messages may go out where a contact is. The rest of the day is quiet hours."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import NamedTuple

from pydantic import Field, StrictBool

from domain.public_holidays import is_known, public_holidays
from domain.spreading import spread
from domain.working_time import Calendar, Hours, Weekday

_SPREAD_PART = 4
_LONGEST_SPREAD = timedelta(hours=1)


class SendingHours(Hours):
    """From one wall-clock time to another, on some days of the week.

    Those who may be written to at any moment have no sending hours at all, rather than some that last all day.
    """

    days: tuple[Weekday, ...] = Field(default=tuple(Weekday), min_length=1)
    on_holidays: StrictBool = Field(default=False, description="whether public holidays are days like any other")


class Opening(NamedTuple):
    """From `begins` to before `ends` (UTC) messages may go out."""

    begins: datetime
    ends: datetime


def opening(moment: datetime, hours: SendingHours, zone: str, holidays_of: str | None) -> Opening:
    """The opening that `moment` (aware) is in, or else the next one.

    `zone` is an IANA time zone, and `holidays_of` the country, or a part of it, whose public holidays are days without
    sending hours; one whose holidays are not known has none. A day on which the clocks change within the hours may
    have two openings.
    """
    found = _calendar(hours, zone, holidays_of).working_spell(moment)
    if found is None:
        raise AssertionError("some week has its days without a holiday")
    return Opening(*found)


def send_at(opening: Opening, key: str) -> datetime:
    """When in the opening a message that waited for it goes out: in the first quarter, and in the first hour.

    The same `key`, the message's id, means the same moment; messages spread evenly, by whole seconds.
    """
    return opening.begins + spread(key, min((opening.ends - opening.begins) / _SPREAD_PART, _LONGEST_SPREAD))


@lru_cache(maxsize=1024)
def _calendar(hours: SendingHours, zone: str, holidays_of: str | None) -> Calendar:
    """Kept, for each is asked for many messages and remembers its zone and its hours."""
    free_days = None
    if holidays_of and not hours.on_holidays and is_known(holidays_of):
        free_days = partial(public_holidays, holidays_of)
    return Calendar(zone=zone, hours={day: [hours] for day in hours.days}, holidays=free_days)
