from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.people import PersonProfile, calendar_of
from domain.working_time import OFFICE_HOURS, Absence, Calendar, Hours, Weekday, WorkingHours

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ROUND_THE_CLOCK = {day: [Hours(begins=time(0), ends=time(23, 59))] for day in Weekday}
CHANGES = [
    ("America/New_York", "2026-03-08T07:00Z"),
    ("America/New_York", "2026-11-01T06:00Z"),
    ("America/Santiago", "2026-09-06T04:00Z"),
    ("America/Santiago", "2026-04-05T03:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
    ("America/Scoresbysund", "2025-03-30T01:00Z"),
    ("America/St_Johns", "2010-11-07T02:31Z"),
    ("Pacific/Apia", "2011-12-30T10:00Z"),
    ("Asia/Tokyo", "2026-02-28T15:00Z"),
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@st.composite
def times_of_day(draw: st.DrawFn) -> time:
    return time(draw(st.integers(0, 23)), draw(st.sampled_from([0, 1, 15, 30, 59])))


@st.composite
def weekly_hours(draw: st.DrawFn) -> WorkingHours:
    spans = st.tuples(times_of_day(), times_of_day()).filter(lambda span: span[0] != span[1])
    hours = spans.map(lambda span: Hours(begins=min(span), ends=max(span)))
    return draw(st.dictionaries(st.sampled_from(Weekday), st.lists(hours, max_size=4), max_size=7))


@st.composite
def calendars(draw: st.DrawFn) -> tuple[Calendar, datetime]:
    """A calendar and a whole minute within days of a change of its clocks, or of a leap day's place."""
    zone, change = draw(st.sampled_from(CHANGES))
    moment = utc(change) + draw(st.integers(-4000, 2000)) * MINUTE
    near = st.integers(-4, 6).map(lambda days: (moment + days * DAY).date())
    free = draw(st.frozensets(near, max_size=3))
    absences = draw(st.lists(st.tuples(near, near).map(sorted), max_size=2))
    absent = tuple(Absence(first_day=first, last_day=last) for first, last in absences)
    hours = draw(st.one_of(weekly_hours(), st.just(OFFICE_HOURS), st.just(ROUND_THE_CLOCK)))
    return Calendar(zone, hours, lambda year: free, absent), moment


DURATIONS = st.integers(0, 200_000).map(lambda seconds: timedelta(seconds=seconds))


@given(calendars())
def test_people_work_when_the_clock_says_so_on_days_that_are_not_free(given_: tuple[Calendar, datetime]) -> None:
    calendar, moment = given_
    local = moment.astimezone(ZoneInfo(calendar.zone))
    today = calendar.hours.get(list(Weekday)[local.weekday()], [])
    in_hours = any(hours.begins <= local.time() < hours.ends for hours in today)
    absent = any(absence.first_day <= local.date() <= absence.last_day for absence in calendar.absences)
    holiday = calendar.holidays is not None and local.date() in calendar.holidays(local.year)
    expected = "absent" if absent else "holiday" if holiday else None if in_hours else "outside_hours"
    assert calendar.why_not_working(moment) == expected
    assert calendar.is_working(moment) == (expected is None)


@settings(max_examples=50)
@given(calendars(), st.integers(0, 2 * 24 * 60))
def test_working_time_is_every_minute_that_is_worked_once(given_: tuple[Calendar, datetime], minutes: int) -> None:
    calendar, begin = given_
    worked = sum(calendar.is_working(begin + minute * MINUTE) for minute in range(minutes))
    assert calendar.working_time(begin, begin + minutes * MINUTE) == worked * MINUTE


@given(calendars(), DURATIONS)
def test_counting_working_time_ahead_and_back_agree(given_: tuple[Calendar, datetime], duration: timedelta) -> None:
    calendar, moment = given_
    due = calendar.after_working(moment, duration)
    if due is not None:
        assert calendar.working_time(moment, due) == duration
        assert due >= moment


@given(calendars(), DURATIONS)
def test_what_is_due_is_due_in_working_hours(given_: tuple[Calendar, datetime], duration: timedelta) -> None:
    calendar, moment = given_
    due = calendar.after_working(moment, duration)
    if due is not None:
        assert calendar.is_working(due - timedelta(microseconds=1) if duration else due)


@given(calendars(), DURATIONS, DURATIONS)
def test_who_begins_later_or_has_more_to_do_is_done_no_sooner(
    given_: tuple[Calendar, datetime], duration: timedelta, more: timedelta
) -> None:
    calendar, moment = given_
    due = calendar.after_working(moment, duration)
    begun_later, longer = (
        calendar.after_working(moment + more, duration),
        calendar.after_working(moment, duration + more),
    )
    if due and begun_later and longer:
        assert due <= begun_later
        assert due <= longer
    else:
        assert due is begun_later is longer is None


@given(calendars(), DURATIONS, DURATIONS)
def test_working_time_adds_up(given_: tuple[Calendar, datetime], first: timedelta, second: timedelta) -> None:
    calendar, begin = given_
    middle, end = begin + first, begin + first + second
    whole = calendar.working_time(begin, end)
    assert calendar.working_time(begin, middle) + calendar.working_time(middle, end) == whole
    assert timedelta() <= whole <= end - begin


@given(calendars())
def test_the_next_working_moment_is_the_first_one(given_: tuple[Calendar, datetime]) -> None:
    calendar, moment = given_
    found = calendar.next_working(moment)
    if found is None:
        assert not any(calendar.hours.values())
    else:
        assert calendar.is_working(found)
        assert calendar.working_time(moment, found) == timedelta()
        assert (found == moment) == calendar.is_working(moment)


@pytest.mark.parametrize(
    ("zone", "begin", "end", "worked"),
    [
        ("America/New_York", "2026-03-07T22:00-05:00", "2026-03-08T06:00-04:00", 7 * HOUR),
        ("America/New_York", "2026-10-31T22:00-04:00", "2026-11-01T06:00-05:00", 9 * HOUR),
        ("Australia/Lord_Howe", "2026-04-04T22:00+11:00", "2026-04-05T06:00+10:30", 8.5 * HOUR),
    ],
)
def test_a_night_in_which_the_clocks_change_counts_as_long_as_it_is(
    zone: str, begin: str, end: str, worked: timedelta
) -> None:
    night = [Hours(begins=time(0), ends=time(6)), Hours(begins=time(22), ends=time(23, 59))]
    calendar = Calendar(zone, dict.fromkeys(Weekday, night))
    assert calendar.working_time(utc(begin), utc(end)) == worked - MINUTE
    assert calendar.after_working(utc(begin), worked - MINUTE) == utc(end)


def test_nobody_works_on_a_day_that_was_skipped() -> None:
    calendar = Calendar("Pacific/Apia", ROUND_THE_CLOCK)
    assert calendar.working_time(utc("2011-12-29T00:00-10:00"), utc("2012-01-01T00:00+14:00")) == 2 * (DAY - MINUTE)


def test_hours_that_overlap_or_are_in_no_order_count_once() -> None:
    spans = [(14, 18), (9, 12), (10, 11), (11, 13), (13, 14)]
    hours = [Hours(begins=time(begins), ends=time(ends)) for begins, ends in spans]
    calendar = Calendar("Europe/Madrid", {Weekday.MONDAY: hours})
    monday = utc("2026-06-01T00:00+02:00")
    assert calendar.working_time(monday, monday + DAY) == 9 * HOUR
    assert calendar.after_working(monday, 9 * HOUR) == utc("2026-06-01T18:00+02:00")


def test_an_sla_waits_for_the_weekend_a_holiday_and_an_absence_to_pass() -> None:
    rosa = PersonProfile(
        email="rosa@example.com",
        name="Rosa",
        time_zone="America/Santiago",
        holidays="CL",
        absences=[Absence(first_day=date(2026, 9, 21), last_day=date(2026, 9, 22))],
    )
    calendar = calendar_of(rosa)
    thursday = utc("2026-09-17T16:00-03:00")
    assert calendar.after_working(thursday, 2 * HOUR) == utc("2026-09-17T18:00-03:00")
    assert calendar.after_working(thursday, 4 * HOUR) == utc("2026-09-23T11:00-03:00")
    reasons = [calendar.why_not_working(thursday + days * DAY) for days in range(6)]
    assert reasons == [None, "holiday", "holiday", "outside_hours", "absent", "absent"]
    assert calendar.next_working(thursday + 1 * DAY) == utc("2026-09-23T09:00-03:00")


def test_as_the_hours_end_they_are_over() -> None:
    calendar = Calendar("UTC", OFFICE_HOURS)
    closing = utc("2026-06-01T18:00Z")
    assert not calendar.is_working(closing)
    assert calendar.after_working(closing, timedelta()) == utc("2026-06-02T09:00Z")


@pytest.mark.parametrize(
    "calendar",
    [
        Calendar("UTC", {}),
        Calendar("UTC", {Weekday.MONDAY: []}),
        Calendar("UTC", OFFICE_HOURS, absences=(Absence(first_day=date(2026, 1, 1), last_day=date(2100, 1, 1)),)),
    ],
)
def test_who_never_works_is_never_waited_for(calendar: Calendar) -> None:
    now = utc("2026-06-01T12:00Z")
    assert calendar.next_working(now) is None
    assert calendar.working_spell(now) is None
    assert calendar.after_working(now, HOUR) is None
    assert calendar.working_time(now, now + 30 * DAY) == timedelta()


def test_working_time_that_would_take_longer_than_ten_years_never_passes() -> None:
    calendar = Calendar("UTC", {Weekday.MONDAY: [Hours(begins=time(3), ends=time(3, 1))]})
    now = utc("2026-06-01T12:00Z")
    assert calendar.after_working(now, 521 * MINUTE) is not None
    assert calendar.after_working(now, 523 * MINUTE) is None


def test_no_time_passes_backwards() -> None:
    now = utc("2026-06-01T12:00Z")
    assert Calendar("UTC", OFFICE_HOURS).working_time(now, now - DAY) == timedelta()


@given(calendars())
def test_a_spell_of_work_is_unbroken_and_is_the_one_now_or_the_next(given_: tuple[Calendar, datetime]) -> None:
    calendar, moment = given_
    spell = calendar.working_spell(moment)
    found = calendar.next_working(moment)
    if spell is None:
        assert found is None
        return
    begins, ends = spell
    assert max(begins, moment) == found
    assert ends > moment
    assert calendar.working_time(begins, ends) == ends - begins
    assert not calendar.is_working(begins - timedelta(microseconds=1))
    assert not calendar.is_working(ends)


def test_work_that_is_over_for_good_is_not_the_next() -> None:
    gone = Absence(first_day=date(2026, 6, 2), last_day=date(2100, 1, 1))
    calendar = Calendar("UTC", OFFICE_HOURS, absences=(gone,))
    assert calendar.working_spell(utc("2026-06-01T12:00Z")) == (utc("2026-06-01T09:00Z"), utc("2026-06-01T18:00Z"))
    assert calendar.working_spell(utc("2026-06-01T18:00Z")) is None
