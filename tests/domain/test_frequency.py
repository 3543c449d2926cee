from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.frequency import Cap, next_allowed, read_caps

NOW = datetime(2026, 6, 3, 15, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
INSTANT = timedelta(microseconds=1)
NO_GAP = timedelta(0)

MINUTES = st.integers(1, 200).map(lambda minutes: minutes * MINUTE)
CAPS = st.lists(st.builds(Cap, limit=st.integers(1, 5), within=MINUTES), max_size=3)
GAPS = st.just(NO_GAP) | MINUTES
SENT = st.lists(st.integers(-400, 30).map(lambda minutes: NOW + minutes * MINUTE), max_size=15)
"""Some of them ahead, as of a worker whose clock is fast."""


def keeps_the_rules(moment: datetime, sent: Sequence[datetime], caps: Sequence[Cap], gap: timedelta) -> bool:
    if gap and any(moment < earlier + gap for earlier in sent):
        return False
    return all(len([earlier for earlier in sent if moment < earlier + cap.within]) < cap.limit for cap in caps)


@given(SENT, CAPS, GAPS)
def test_the_answer_is_the_earliest_moment_that_keeps_all_rules(
    sent: list[datetime], caps: list[Cap], gap: timedelta
) -> None:
    at = next_allowed(NOW, sent, caps, gap).at
    assert at >= NOW
    assert keeps_the_rules(at, sent, caps, gap)
    # What is not allowed may become so only as an earlier message leaves a window.
    turns = [earlier + length for earlier in sent for length in [gap, *(cap.within for cap in caps)]]
    assert not any(keeps_the_rules(moment, sent, caps, gap) for moment in [NOW, *turns] if NOW <= moment < at)
    assert at == NOW or not keeps_the_rules(at - INSTANT, sent, caps, gap)


@given(st.lists(st.integers(0, 90).map(lambda minutes: minutes * MINUTE), max_size=40), CAPS, GAPS)
def test_who_obeys_never_sends_more_in_any_time_however_messages_come(
    apart: list[timedelta], caps: list[Cap], gap: timedelta
) -> None:
    sent: list[datetime] = []
    now = NOW
    for pause in apart:
        now += pause
        if next_allowed(now, sent, caps, gap).obstacle is None:
            sent.append(now)
    for cap in caps:
        assert all(sum(begin <= moment < begin + cap.within for moment in sent) <= cap.limit for begin in sent)
    assert all(later - earlier >= gap for earlier, later in pairwise(sent))


@given(SENT, CAPS, GAPS)
def test_who_waits_until_then_may_send_then(sent: list[datetime], caps: list[Cap], gap: timedelta) -> None:
    at = next_allowed(NOW, sent, caps, gap).at
    again = next_allowed(at, sent, caps, gap)
    assert again.at == at
    assert again.obstacle is None


@given(SENT.flatmap(lambda sent: st.tuples(st.just(sent), st.permutations(sent))), CAPS, GAPS)
def test_the_order_of_earlier_messages_does_not_matter(
    orders: tuple[list[datetime], list[datetime]], caps: list[Cap], gap: timedelta
) -> None:
    one, other = orders
    assert next_allowed(NOW, one, caps, gap) == next_allowed(NOW, other, caps, gap)


@given(SENT, CAPS, GAPS)
def test_each_rule_says_how_it_stands(sent: list[datetime], caps: list[Cap], gap: timedelta) -> None:
    allowance = next_allowed(NOW, sent, caps, gap)
    rules = ([("minimum_gap", 1, gap)] if gap else []) + [("frequency_cap", cap.limit, cap.within) for cap in caps]
    assert [(each.rule, each.limit, each.within) for each in allowance.standings] == rules
    for each in allowance.standings:
        assert each.count == len([moment for moment in sent if moment + each.within > NOW])
    obstacle = allowance.obstacle
    assert (obstacle is None) == (allowance.at == NOW)
    if obstacle:
        assert obstacle.count >= obstacle.limit
        assert obstacle.allows_at == allowance.at


@given(SENT)
def test_without_rules_anything_goes_out_now(sent: list[datetime]) -> None:
    allowance = next_allowed(NOW, sent, [], NO_GAP)
    assert (allowance.at, allowance.obstacle, allowance.standings) == (NOW, None, ())


def test_two_a_day_means_a_third_one_a_day_after_the_first() -> None:
    sent = [NOW - 5 * HOUR, NOW - 23 * HOUR]
    allowance = next_allowed(NOW, sent, read_caps("2/1d, 5/7d"), 4 * HOUR)
    assert allowance.at == NOW + HOUR
    assert allowance.obstacle is not None
    assert (allowance.obstacle.rule, allowance.obstacle.count) == ("frequency_cap", 2)
    assert next_allowed(NOW + HOUR, sent, read_caps("2/1d, 5/7d"), 4 * HOUR).obstacle is None


def test_the_gap_is_told_from_the_caps() -> None:
    allowance = next_allowed(NOW, [NOW - HOUR], read_caps("2/1d"), 4 * HOUR)
    assert allowance.at == NOW + 3 * HOUR
    assert allowance.obstacle is not None
    assert (allowance.obstacle.rule, allowance.obstacle.limit, allowance.obstacle.within) == (
        "minimum_gap",
        1,
        4 * HOUR,
    )


@pytest.mark.parametrize(
    ("text", "caps"),
    [
        ("", []),
        ("  ", []),
        ("2/1d", [(2, DAY)]),
        ("2/1d, 5/7d", [(2, DAY), (5, 7 * DAY)]),
        (" 1/30m,10/4h ", [(1, 30 * MINUTE), (10, 4 * HOUR)]),
    ],
)
def test_caps_are_read_as_settings_have_them(text: str, caps: list[tuple[int, timedelta]]) -> None:
    assert read_caps(text) == tuple(Cap(limit=limit, within=within) for limit, within in caps)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("2", "'2' is no frequency cap"),
        ("2/1d,", "'' is no frequency cap"),
        ("2/1d; 5/7d", "'1d; 5/7d'|'2/1d; 5/7d' is no frequency cap"),
        ("0/1d", "'0/1d' is no frequency cap"),
        ("-1/1d", "'-1/1d' is no frequency cap"),
        ("10000/1d", "'10000/1d' is no frequency cap"),
        ("2/0d", "'2/0d' is no frequency cap"),
        ("2/1d, 5/7x", "'7x' is no duration"),
        ("2/1000d", "'1000d' is no duration"),
    ],
)
def test_a_text_that_is_no_cap_is_refused_by_name(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_caps(text)


@pytest.mark.parametrize(
    "cap", [{"limit": 0, "within": DAY}, {"limit": 1, "within": NO_GAP}, {"limit": 1, "within": 60}]
)
def test_a_cap_allows_something_in_some_time(cap: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Cap.model_validate(cap)
