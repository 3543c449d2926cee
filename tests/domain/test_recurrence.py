from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.recurrence import Recurrence, Timetable
from domain.recurring_jobs import RecurringBroadcast, RecurringBulkEnrollment, job_key

SEGMENT = {"segment_id": "0193f0c2-a0b1-7d22-9c33-4e5f6a7b8c9d"}
BY_ID = {"contact_ids": ["0193f0c2-a0b1-7d22-9c33-4e5f6a7b8c9d"]}


@pytest.mark.parametrize(
    "given",
    [
        {"at": "09:00"},
        {"at": "09:00", "days": ["monday", "friday"]},
        {"at": "23:59:30", "day_of_month": 31},
        {"every": "PT6H"},
        {"cron": "0 9 * * 1"},
        {"cron": "*/15 8-18/2 1,15 * *"},
        {"cron": "0 9 * JAN-MAR MON"},
    ],
)
def test_there_are_these_ways_to_come_again(given: dict[str, Any]) -> None:
    told = Recurrence.model_validate(given)
    assert Recurrence.model_validate(told.model_dump(mode="json")) == told


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "one of at, every and cron"),
        ({"at": "09:00", "every": "PT6H"}, "one of at, every and cron"),
        ({"every": "PT6H", "days": ["monday"]}, "go with at"),
        ({"cron": "0 9 * * 1", "day_of_month": 1}, "go with at"),
        ({"at": "09:00", "days": ["monday"], "day_of_month": 1}, "either days or day_of_month"),
        ({"at": "09:00", "days": []}, "at least 1 item"),
        ({"at": "09:00", "day_of_month": 32}, "less than or equal to 31"),
        ({"at": "25:00"}, "time of day"),
        ({"every": "PT59S"}, "a minute or more"),
        ({"cron": "0 9 * *"}, "five fields"),
        ({"cron": "@daily"}, "five fields"),
        ({"cron": "CRON_TZ=UTC 0 9 * * 1"}, "five fields"),
        ({"cron": "60 9 * * 1"}, "the minute has to be"),
        ({"cron": "0 9 0 * *"}, "the day of the month has to be"),
        ({"cron": "0 9 * 13 *"}, "the month has to be"),
        ({"cron": "0 9 * * 7"}, "the day of the week has to be"),
        ({"cron": "0 18-9 * * *"}, "the hour has to be"),
        ({"cron": "*/0 9 * * *"}, "the minute has to be"),
        ({"cron": "0 9 * * mon#1"}, "the day of the week has to be"),
        ({"cron": "0 9 1 * 1"}, "either a day of the month or a day of the week"),
    ],
)
def test_what_comes_again_in_no_way_or_in_two_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Recurrence.model_validate(given)


@given(st.text("0123456789*/,-@ abcdefghijklmnopqrstuvwxyz\n", max_size=30))
def test_whatever_a_cron_line_is_it_is_read_or_refused_and_read_again_as_it_was(line: str) -> None:
    try:
        read = Recurrence(cron=line).cron
    except ValidationError:
        return
    assert read is not None
    assert Recurrence(cron=read).cron == read


def test_a_timetable_ends_after_it_starts() -> None:
    given = {"recurrence": {"at": "09:00"}, "starts_at": "2026-12-01T00:00:00Z", "ends_at": "2026-12-01T00:00:00Z"}
    with pytest.raises(ValidationError, match="later than starts_at"):
        Timetable.model_validate(given)
    with pytest.raises(ValidationError, match="a day or less"):
        Timetable.model_validate({"recurrence": {"at": "09:00"}, "jitter": "P1DT1S"})
    with pytest.raises(ValidationError, match="time_zone"):
        Timetable.model_validate({"recurrence": {"at": "09:00"}, "time_zone": "Mars/Olympus"})


def test_contacts_by_id_and_one_moment_make_no_recurring_job() -> None:
    with pytest.raises(ValidationError, match="a segment or an import"):
        RecurringBulkEnrollment.model_validate({"flow": "onboarding", "source": BY_ID})
    broadcast = {"name": "News", "message": "news", "source": SEGMENT}
    assert RecurringBroadcast.model_validate(broadcast).source.segment_id == SEGMENT["segment_id"]
    for moment in ({"at": "2026-12-01T09:00:00Z"}, {"at_local": "2026-12-01T09:00:00"}):
        with pytest.raises(ValidationError, match="the schedule tells"):
            RecurringBroadcast.model_validate({**broadcast, **moment})


def test_the_key_of_a_job_is_the_same_wherever_its_time_is_told() -> None:
    nine = datetime(2026, 12, 1, 9, tzinfo=UTC)
    there = nine.astimezone(timezone(timedelta(hours=-3)))
    assert job_key("a", nine) == job_key("a", there) == "schedule:a:2026-12-01T09:00:00Z"
    assert len({job_key("a", nine), job_key("b", nine), job_key("a", nine + timedelta(seconds=1))}) == 3
