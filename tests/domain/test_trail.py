from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.trail import (
    Passed,
    activity_summary,
    moment_summary,
    read_activity_summary,
    read_timer_summary,
    wait_summary,
)

STEPS = st.from_regex(r"[a-z0-9]+([-/][a-z0-9]+){0,3}", fullmatch=True).filter(lambda step: step != "entering")
EVENTS = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
PASSED = st.one_of(
    STEPS.map(Passed),
    STEPS.map(lambda step: Passed(step, answer=False)),
    STEPS.map(lambda step: Passed(step, skipped=True)),
    st.tuples(STEPS, EVENTS).map(lambda pair: Passed(pair[0], answer=True, event=pair[1])),
)
TRAILS = st.lists(PASSED, min_size=1, max_size=6)


@given(message=STEPS, trail=TRAILS)
def test_the_trail_of_an_email_is_read_back(message: str, trail: list[Passed]) -> None:
    assert read_activity_summary(activity_summary(f"email {message}", trail)) == trail


@given(step=STEPS, trail=TRAILS, seconds=st.integers(0, 10**8), event=st.none() | EVENTS)
def test_the_trail_of_a_wait_is_read_back(step: str, trail: list[Passed], seconds: int, event: str | None) -> None:
    assert read_timer_summary(wait_summary(step, timedelta(seconds=seconds), trail, "latest", event)) == (step, trail)


@given(step=STEPS, trail=TRAILS, moment=st.datetimes(min_value=datetime(2000, 1, 1)))  # noqa: DTZ001
def test_the_trail_of_a_wait_until_a_moment_is_read_back(step: str, trail: list[Passed], moment: datetime) -> None:
    assert read_timer_summary(moment_summary(step, moment.replace(tzinfo=UTC), trail)) == (step, trail)


def test_summaries_read_as_people_say_it() -> None:
    trail = [Passed("a-week"), Passed("reply-1", answer=True, event="replied"), Passed("survey", skipped=True)]
    assert activity_summary("email tip", []) == "email tip"
    assert activity_summary("email tip", trail) == "email tip after a-week, reply-1: yes by replied, survey: skipped"
    three_days = timedelta(days=3)
    assert (
        wait_summary("clicked", three_days, [], "guide", "clicked") == "clicked: until 3 days after guide, or clicked"
    )
    assert (
        wait_summary("rest", three_days, [Passed("clicked", answer=False)], "?")
        == "rest: until 3 days after clicked: no"
    )
    moment = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
    assert moment_summary("day", moment, []) == "day: until 2026-12-01 09:30 UTC"


def test_a_first_wait_follows_no_step() -> None:
    assert read_timer_summary("a-day: until 1 day after entering") == ("a-day", [])


@pytest.mark.parametrize("summary", ["", "something else", "tip: later", "a b: until 1 day after entering"])
def test_what_no_flow_wrote_is_refused(summary: str) -> None:
    with pytest.raises(ValueError, match="is not the summary of a wait"):
        read_timer_summary(summary)
