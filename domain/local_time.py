"""Wall-clock times where somebody is, as moments in UTC."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from domain.clock_changes import clock_change
from domain.working_time import Weekday


def next_local(after: datetime, zone: str, at: time, days: Collection[Weekday] = tuple(Weekday)) -> datetime:
    """The first moment, in UTC, at or after `after` (aware) when the clocks of `zone` show `at` on one of `days`.

    A time that the clocks skip means the first moment after the gap, so a daily 02:30 is missed on no day; one that
    comes twice means the first of the two. A day that the zone skipped as a whole is not made up for.
    Raises: ValueError without days.
    """
    if not days:
        raise ValueError("days is empty: name the weekdays, or leave them out for any day")
    clock, weekdays = ZoneInfo(zone), {day.number for day in days}
    # From the day before: a 23:30 that is skipped is the next day's midnight, which may be `after` itself.
    eve = after.astimezone(clock).date() - timedelta(days=1)
    for ahead in count():
        day = eve + timedelta(days=ahead)
        if day.weekday() in weekdays and (moment := _moment(day, at, clock)) and moment >= after:
            return moment
    raise AssertionError("there is always another week")


def _moment(day: date, at: time, clock: ZoneInfo) -> datetime | None:
    """When the clock shows this, the first time; if that is skipped, when it is. None: it skipped the whole day."""
    wall = datetime.combine(day, at, clock)
    # Of a time in a gap, `fold` tells both offsets (PEP 495), so these two lie on either side of the change.
    usual, other = (wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if other >= usual:
        return usual
    change = clock_change(other, usual, clock)
    shown_before, shown_after = ((change - passed).astimezone(clock) for passed in (timedelta(seconds=1), timedelta(0)))
    return None if shown_before.date() < day < shown_after.date() else change
