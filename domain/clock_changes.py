"""When the clocks of a time zone change, which `zoneinfo` does not tell by itself."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


class Steady(NamedTuple):
    """From `begins` to before `ends` (UTC) the zone's clocks show UTC + `offset`."""

    begins: datetime
    ends: datetime
    offset: timedelta


def steady_times(begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[Steady]:
    """All the time from `begin` to `end`, in order, in parts of a day at most in which the clocks do not change."""
    offset = _offset(begin, zone)
    while begin < end:
        until = min(begin + _DAY, end)
        if (later := _offset(until, zone)) != offset:
            until = clock_change(begin, until, zone)
        yield Steady(begin, until, offset)
        begin, offset = until, later


def clock_change(begin: datetime, end: datetime, zone: ZoneInfo) -> datetime:
    """The moment after `begin`, or `end` at the latest, from which the clocks show what they show at `end`."""
    seconds = range(int(begin.timestamp()), int(end.timestamp()) + 1)
    offset = _offset(end, zone)
    change = bisect_left(seconds, True, key=lambda second: _offset(datetime.fromtimestamp(second, UTC), zone) == offset)
    return datetime.fromtimestamp(seconds[change], UTC)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).replace(tzinfo=UTC) - moment
