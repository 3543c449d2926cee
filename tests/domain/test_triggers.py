from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.event_names import LEAVING
from domain.events import LEAVING_EVENTS
from domain.triggers import Began, Trigger, began_by, declared_id, enrollment_key, often_enough

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
MOMENTS = st.lists(st.integers(0, 60), min_size=1, max_size=12).map(
    lambda days: [NOON + timedelta(days=d) for d in days]
)
TIMES = st.integers(2, 5)
WITHIN = st.integers(1, 30).map(lambda days: timedelta(days=days))


@given(MOMENTS, TIMES, WITHIN, st.data())
def test_it_is_often_enough_if_some_window_around_the_moment_holds_that_many(
    moments: list[datetime], times: int, within: timedelta, data: st.DataObject
) -> None:
    at = data.draw(st.sampled_from(moments))
    chosen = (set(each) for each in combinations(range(len(moments)), times))
    held = ([moments[number] for number in numbers] for numbers in chosen)
    expected = any(at in window and max(window) - min(window) <= within for window in held)
    assert often_enough(moments, at, times, within) is expected


@given(st.permutations([NOON, NOON + timedelta(days=3), NOON + timedelta(days=7)]))
def test_in_whatever_order_three_events_of_a_week_arrive_the_last_of_them_makes_it_enough(
    arriving: list[datetime],
) -> None:
    known: list[datetime] = []
    found = []
    for at in arriving:
        known.append(at)
        found.append(often_enough(known, at, 3, WEEK))
    assert found == [False, False, True]


@given(st.from_regex(r"[0-9a-z_.-]{1,20}", fullmatch=True), st.from_regex(r"[!-~]{1,30}", fullmatch=True))
def test_the_key_of_an_enrollment_tells_its_trigger_and_cause(trigger_id: str, cause: str) -> None:
    assert began_by(enrollment_key(trigger_id, cause)) == Began(trigger_id, cause)


@pytest.mark.parametrize("key", [None, "", "signup-4711", "trigger:", "trigger:one", "hand-over:1:2"])
def test_other_keys_tell_of_no_trigger(key: str | None) -> None:
    assert began_by(key) is None


def test_leaving_is_called_the_same_in_events_and_exits() -> None:
    assert {name: str(exit_) for name, exit_ in LEAVING_EVENTS.items()} == {name: name for name in LEAVING}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "either an event or a segment"),
        ({"event": "bought", "segment": "vip"}, "either an event or a segment"),
        ({"event": "unsubscribed"}, "a contact leaves every flow"),
        ({"event": "erased"}, "a contact leaves every flow"),
        ({"event": "clicked", "times": 3}, "times, 2 or more, and within together"),
        ({"event": "clicked", "within": "P7D"}, "times, 2 or more, and within together"),
        ({"event": "clicked", "times": 2, "within": "PT0S"}, "no time at all"),
        ({"segment": "vip", "times": 2, "within": "P1D"}, "a segment is entered once"),
        ({"event": "Clicked"}, "should match pattern"),
        ({"event": "clicked", "reenroll": "sometimes"}, "reenroll"),
    ],
)
def test_what_is_no_trigger_is_refused_with_a_reason(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Trigger.model_validate(given)


@pytest.mark.parametrize(
    ("reenroll", "flows_rule", "after"),
    [
        ("as_flow", timedelta(days=1), timedelta(days=1)),
        ("as_flow", None, None),
        ("never", timedelta(0), None),
        ("P30D", None, timedelta(days=30)),
    ],
)
def test_its_re_enrollment_rule_takes_the_place_of_the_flows(
    reenroll: str, flows_rule: timedelta | None, after: timedelta | None
) -> None:
    assert Trigger.model_validate({"event": "bought", "reenroll": reenroll}).reenroll_after(flows_rule) == after


def test_a_declared_trigger_stays_the_same_as_long_as_its_definition() -> None:
    thrice = Trigger(event="clicked", times=3, within=WEEK)
    assert declared_id("nurturing", thrice) == declared_id("nurturing", Trigger(**thrice.model_dump()))
    others = [thrice.model_copy(update={"times": 4}), thrice.model_copy(update={"reenroll": "never"})]
    assert len({declared_id("nurturing", each) for each in (thrice, *others)} | {declared_id("sales", thrice)}) == 4


def test_it_says_in_words_what_it_waits_for() -> None:
    assert Trigger(event="signed_up").in_words() == "signed_up"
    assert Trigger(event="clicked", times=3, within=WEEK).in_words() == "clicked 3 times within 7 days"
    assert Trigger(segment="quiet customers").in_words() == "entering the segment quiet customers"
