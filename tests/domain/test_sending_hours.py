from __future__ import annotations

import zoneinfo
from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.public_holidays import public_holidays
from domain.sending_hours import Opening, SendingHours, opening, send_at
from domain.working_time import WORKDAYS, Weekday

INSTANT, SECOND, HOUR, DAY = timedelta(microseconds=1), timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
ZONES = st.sampled_from(sorted(zoneinfo.available_timezones() - {"localtime"}))
MOMENTS = st.datetimes(datetime(2005, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
COUNTRIES = st.sampled_from([None, "CL", "ES-MD", "US", "JP", "XX"])
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))
DAYTIME = SendingHours(begins=time(9), ends=time(20))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@st.composite
def sending_hours(draw: st.DrawFn) -> SendingHours:
    begins, ends = draw(st.tuples(TIMES, TIMES).filter(lambda span: span[0] < span[1]))
    days = draw(st.lists(st.sampled_from(Weekday), min_size=1, max_size=7))
    return SendingHours(begins=begins, ends=ends, days=tuple(days), on_holidays=draw(st.booleans()))


@st.composite
def near_clock_changes(draw: st.DrawFn) -> tuple[str, datetime]:
    zone, change = draw(
        st.sampled_from(
            [
                ("America/New_York", "2026-03-08T07:00Z"),
                ("America/New_York", "2026-11-01T06:00Z"),
                ("America/Santiago", "2026-09-06T04:00Z"),
                ("America/Santiago", "2026-04-05T03:00Z"),
                ("America/Havana", "2026-11-01T05:00Z"),
                ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
                ("America/Scoresbysund", "2025-03-30T01:00Z"),
                ("America/St_Johns", "2010-11-07T02:31Z"),
                ("Pacific/Apia", "2011-12-30T10:00Z"),
            ]
        )
    )
    return zone, utc(change) + draw(st.integers(-3000, 2000)) * timedelta(minutes=1)


WHERE_AND_WHEN = st.tuples(ZONES, MOMENTS) | near_clock_changes()


def is_open(moment: datetime, hours: SendingHours, zone: str, country: str | None) -> bool:
    """What opening hours mean, said in the plainest way."""
    local = moment.astimezone(ZoneInfo(zone))
    free: Collection[date] = ()
    if country not in (None, "XX") and not hours.on_holidays:
        free = public_holidays(country, local.year)
    on_this_day = list(Weekday)[local.weekday()] in hours.days and local.date() not in free
    return on_this_day and hours.begins <= local.time() < hours.ends


@given(WHERE_AND_WHEN, sending_hours(), COUNTRIES)
@example(("America/Santiago", utc("2026-04-05T02:59Z")), SendingHours(begins=time(0), ends=time(23, 59)), None)
@example(("America/Havana", utc("2026-11-01T04:30Z")), SendingHours(begins=time(0), ends=time(23, 59)), None)
def test_an_opening_is_all_the_time_from_one_closed_moment_to_the_next(
    where_and_when: tuple[str, datetime], hours: SendingHours, country: str | None
) -> None:
    zone, moment = where_and_when
    found = opening(moment, hours, zone, country)
    assert found.begins.tzinfo is found.ends.tzinfo is UTC
    assert found.begins < found.ends
    assert moment < found.ends
    assert (found.begins <= moment) == is_open(moment, hours, zone, country)

    assert not is_open(found.begins - INSTANT, hours, zone, country)
    assert not is_open(found.ends, hours, zone, country)
    parts = [found.begins + part * (found.ends - found.begins) / 50 for part in range(50)]
    assert all(is_open(within, hours, zone, country) for within in [*parts, found.ends - INSTANT])
    closed = [moment + part * (found.begins - moment) / 200 for part in range(200)] if moment < found.begins else []
    assert not any(is_open(before, hours, zone, country) for before in closed)


@given(WHERE_AND_WHEN, sending_hours(), COUNTRIES, st.floats(0, 1, exclude_max=True))
def test_whoever_asks_before_an_opening_or_in_it_is_told_the_same(
    where_and_when: tuple[str, datetime], hours: SendingHours, country: str | None, part: float
) -> None:
    zone, moment = where_and_when
    found = opening(moment, hours, zone, country)
    later = moment + part * (found.ends - moment)
    assert opening(min(later, found.ends - INSTANT), hours, zone, country) == found
    assert opening(found.ends, hours, zone, country).begins > found.ends


@given(WHERE_AND_WHEN, sending_hours(), st.text())
def test_a_message_that_waited_goes_out_in_the_first_part_of_the_opening(
    where_and_when: tuple[str, datetime], hours: SendingHours, key: str
) -> None:
    zone, moment = where_and_when
    found = opening(moment, hours, zone, None)
    at = send_at(found, key)
    assert at == send_at(found, key)
    assert timedelta(0) <= at - found.begins < min((found.ends - found.begins) / 4, HOUR)
    assert opening(at, hours, zone, None) == found


@pytest.mark.parametrize("lasts", [INSTANT, SECOND, 4 * SECOND])
def test_of_a_short_opening_a_message_keeps_to_the_beginning(lasts: timedelta) -> None:
    begins = utc("2026-06-03T09:00Z")
    assert {send_at(Opening(begins, begins + lasts), str(key)) for key in range(50)} == {begins}


@pytest.mark.parametrize(("ends", "minutes"), [("2026-06-03T20:00Z", 60), ("2026-06-03T11:00Z", 30)])
def test_messages_that_waited_use_all_of_the_first_part(ends: str, minutes: int) -> None:
    found = Opening(utc("2026-06-03T09:00Z"), utc(ends))
    used = {(send_at(found, str(key)) - found.begins) // timedelta(minutes=1) for key in range(1000)}
    assert used == set(range(minutes))


def test_a_weekend_and_a_holiday_are_waited_for() -> None:
    hours = SendingHours(begins=time(9), ends=time(20), days=WORKDAYS)
    thursday_night = utc("2026-09-17T20:00-03:00")
    monday = Opening(utc("2026-09-21T09:00-03:00"), utc("2026-09-21T20:00-03:00"))
    assert opening(thursday_night, hours, "America/Santiago", "CL") == monday
    friday = Opening(utc("2026-09-18T09:00-03:00"), utc("2026-09-18T20:00-03:00"))
    assert opening(thursday_night, hours, "America/Santiago", None) == friday
    on_holidays = hours.model_copy(update={"on_holidays": True})
    assert opening(thursday_night, on_holidays, "America/Santiago", "CL") == friday


def test_the_day_is_the_contact_s_own() -> None:
    """It is Monday morning in Tokyo while it is Sunday in UTC."""
    hours = SendingHours(begins=time(8), ends=time(18), days=WORKDAYS)
    assert opening(utc("2026-06-05T12:00Z"), hours, "Asia/Tokyo", None).begins == utc("2026-06-07T23:00Z")


@pytest.mark.parametrize(
    ("moment", "begins", "ends"),
    [
        ("2026-03-07T12:00-05:00", "2026-03-07T09:00-05:00", "2026-03-07T20:00-05:00"),
        ("2026-03-07T22:00-05:00", "2026-03-08T09:00-04:00", "2026-03-08T20:00-04:00"),
        ("2026-10-31T22:00-04:00", "2026-11-01T09:00-05:00", "2026-11-01T20:00-05:00"),
    ],
)
def test_nine_in_the_morning_stays_nine_over_clock_changes(moment: str, begins: str, ends: str) -> None:
    assert opening(utc(moment), DAYTIME, "America/New_York", None) == Opening(utc(begins), utc(ends))


def test_a_night_in_which_the_clocks_are_put_back_can_have_two_openings() -> None:
    hours = SendingHours(begins=time(1, 30), ends=time(20))
    first = opening(utc("2026-11-01T00:00-04:00"), hours, "America/New_York", None)
    assert first == Opening(utc("2026-11-01T01:30-04:00"), utc("2026-11-01T02:00-04:00"))
    second = opening(first.ends, hours, "America/New_York", None)
    assert second == Opening(utc("2026-11-01T01:30-05:00"), utc("2026-11-01T20:00-05:00"))


def test_a_country_without_known_holidays_has_none() -> None:
    new_year = utc("2026-01-01T12:00Z")
    assert opening(new_year, DAYTIME, "UTC", "XX").begins < new_year
    assert opening(new_year, DAYTIME, "UTC", "CL").begins > new_year


@pytest.mark.parametrize(
    "wrong",
    [
        {"begins": "20:00", "ends": "09:00"},
        {"begins": "09:00", "ends": "09:00"},
        {"begins": "09:00", "ends": "20:00", "days": []},
        {"begins": "09:00", "ends": "20:00", "days": ["someday"]},
    ],
)
def test_hours_in_which_nothing_could_go_out_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SendingHours.model_validate(wrong)
