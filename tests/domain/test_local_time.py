from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.local_time import next_local
from domain.working_time import WORKDAYS, Weekday

ZONES = st.sampled_from(sorted(zoneinfo.available_timezones() - {"localtime"}))
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TIMES = st.times()
DAYS = st.sets(st.sampled_from(Weekday), min_size=1)
SATURDAY, SUNDAY, FRIDAY = {Weekday.SATURDAY}, {Weekday.SUNDAY}, {Weekday.FRIDAY}


def clock(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@given(MOMENTS, ZONES, TIMES, DAYS)
@example(utc("2011-12-29T00:00Z"), "Pacific/Apia", time(9), {Weekday.FRIDAY})
@example(utc("2010-11-06T20:00Z"), "America/St_Johns", time(23, 30), {Weekday.SATURDAY, Weekday.SUNDAY})
@example(utc("2024-12-30T00:00Z"), "America/New_York", time(9), {Weekday.TUESDAY})
@example(utc("2024-02-28T00:00Z"), "Asia/Kathmandu", time(0), {Weekday.THURSDAY})
def test_it_is_the_first_moment_at_which_the_clocks_show_the_time(
    after: datetime, zone: str, at: time, days: set[Weekday]
) -> None:
    found = next_local(after, zone, at, days)
    weekdays = {day.number for day in days}
    assert found.tzinfo is UTC
    assert found >= after

    shown, before = clock(found, zone), clock(found - timedelta(microseconds=1), zone)
    skipped = [
        wall
        for ahead in range((shown.date() - before.date()).days + 1)
        if before < (wall := datetime.combine(before.date() + timedelta(days=ahead), at)) < shown
    ]
    assert any(wall.weekday() in weekdays for wall in [*skipped, *[shown] * (shown.time() == at)])

    for ahead in range((shown.date() - clock(after, zone).date()).days + 1):
        wall = datetime.combine(clock(after, zone).date() + timedelta(days=ahead), at)
        first = wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        earlier = after <= first < found and clock(first, zone) == wall and wall.weekday() in weekdays
        assert not earlier


@given(MOMENTS, ZONES, TIMES, DAYS, st.floats(0, 1))
def test_asked_again_until_then_it_is_the_same_moment(
    after: datetime, zone: str, at: time, days: set[Weekday], part: float
) -> None:
    found = next_local(after, zone, at, days)
    assert next_local(min(after + part * (found - after), found), zone, at, days) == found
    assert next_local(found, zone, at, days) == found


@given(
    st.datetimes(datetime(2012, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    ZONES,
    st.times(time(0), time(22)),
)
@example(utc("2024-02-27T00:00Z"), "Europe/Madrid", time(2, 30))
@example(utc("2024-03-27T00:00Z"), "Europe/Madrid", time(2, 30))
@example(utc("2026-10-20T00:00Z"), "Europe/Madrid", time(2, 30))
def test_a_daily_time_comes_on_every_day_and_on_none_twice(after: datetime, zone: str, at: time) -> None:
    found = next_local(after, zone, at)
    for _ in range(10):
        following = next_local(found + timedelta(microseconds=1), zone, at)
        assert clock(following, zone).date() - clock(found, zone).date() == timedelta(days=1)
        found = following


def test_mondays_morning_in_tokyo_is_sunday_in_utc() -> None:
    found = next_local(utc("2026-06-04T12:00Z"), "Asia/Tokyo", time(8), {Weekday.MONDAY})
    assert found == utc("2026-06-07T23:00Z")


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-03-06T15:00Z", "2026-03-09T13:00Z"),
        ("2026-10-30T14:00Z", "2026-11-02T14:00Z"),
        ("2026-10-30T13:00Z", "2026-10-30T13:00Z"),
    ],
)
def test_nine_in_the_morning_stays_nine_over_clock_changes(after: str, expected: str) -> None:
    assert next_local(utc(after), "America/New_York", time(9), WORKDAYS) == utc(expected)


@pytest.mark.parametrize(
    ("zone", "at", "after", "change"),
    [
        ("America/New_York", time(2, 30), "2026-03-08T00:00-05:00", "2026-03-08T03:00-04:00"),
        ("America/New_York", time(2, 0), "2026-03-08T00:00-05:00", "2026-03-08T03:00-04:00"),
        ("Australia/Lord_Howe", time(2, 15), "2026-10-04T00:00+10:30", "2026-10-04T02:30+11:00"),
        ("America/Santiago", time(0), "2026-09-05T12:00-04:00", "2026-09-06T01:00-03:00"),
    ],
)
def test_a_time_that_the_clocks_skip_is_when_they_do(zone: str, at: time, after: str, change: str) -> None:
    assert next_local(utc(after), zone, at) == utc(change)
    assert next_local(utc(change), zone, at) == utc(change)


def test_the_last_hour_of_a_day_may_be_skipped_and_is_midnight_then() -> None:
    """Clocks in Ittoqqortoormiit went from Saturday 23:00 to Sunday 00:00."""
    sunday = utc("2025-03-30T00:00-01:00")
    for after in (sunday - timedelta(hours=5), sunday):
        assert next_local(after, "America/Scoresbysund", time(23, 30), SATURDAY) == sunday
    following = next_local(sunday + timedelta(seconds=1), "America/Scoresbysund", time(23, 30), SATURDAY)
    assert following == utc("2025-04-05T23:30-01:00")


@pytest.mark.parametrize(
    ("zone", "at", "first", "second"),
    [
        ("America/New_York", time(1, 30), "2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00"),
        ("Australia/Lord_Howe", time(1, 45), "2026-04-05T01:45+11:00", "2026-04-05T01:45+10:30"),
    ],
)
def test_of_a_time_that_comes_twice_it_is_the_first(zone: str, at: time, first: str, second: str) -> None:
    assert next_local(utc(first) - timedelta(hours=20), zone, at) == utc(first)
    following = next_local(utc(first) + timedelta(seconds=1), zone, at)
    assert following > utc(second)
    assert clock(following, zone).date() == clock(utc(second), zone).date() + timedelta(days=1)


def test_a_day_that_a_zone_skipped_is_not_made_up_for() -> None:
    """Samoa crossed the date line: after Thursday the 29th of December 2011 came Saturday the 31st."""
    thursday_evening = utc("2011-12-29T20:00-10:00")
    assert next_local(thursday_evening, "Pacific/Apia", time(9)) == utc("2011-12-31T09:00+14:00")
    assert next_local(thursday_evening, "Pacific/Apia", time(0)) == utc("2011-12-31T00:00+14:00")
    assert next_local(thursday_evening, "Pacific/Apia", time(9), FRIDAY) == utc("2012-01-06T09:00+14:00")


def test_without_days_there_is_no_next_time() -> None:
    with pytest.raises(ValueError, match="days is empty"):
        next_local(utc("2026-01-01T00:00Z"), "UTC", time(9), [])
