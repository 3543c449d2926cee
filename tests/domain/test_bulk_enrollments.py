from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.bulk_enrollments import (
    LEAST_CHECK,
    LONGEST_CHECK,
    Figures,
    Gate,
    GateRecord,
    Pilot,
    Stage,
    gate_after,
    open_gate,
    stage_end,
)

SIZES = st.integers(0, 2_000_000)
COUNTS = st.integers(0, 5_000)


@st.composite
def pilots(draw: st.DrawFn) -> Pilot:
    shares = sorted(draw(st.sets(st.integers(1, 999), max_size=4)))
    counts = sorted(draw(st.sets(st.integers(1, 100_000), max_size=4)))
    stages = [Stage(share=share / 1_000) for share in shares] + [Stage(count=count) for count in counts]
    return Pilot(stages=(*(stages or [Stage(count=1)]), Stage(share=1.0)))


@given(pilots(), SIZES)
def test_stages_never_go_back_and_end_with_everybody(pilot: Pilot, size: int) -> None:
    ends = [stage_end(pilot, stage, size) for stage in range(len(pilot.stages))]
    assert ends == sorted(ends)
    assert ends[-1] == size
    assert all(end > 0 for end in ends) or size == 0, "a stage is never nobody"


@given(st.integers(1, 1_000), SIZES)
def test_a_share_is_rounded_up_exactly(thousandths: int, size: int) -> None:
    exact = Fraction(thousandths, 1_000) * size
    assert 0 <= Stage(share=thousandths / 1_000).end(size) - exact < 1


def test_without_a_pilot_there_is_one_stage() -> None:
    assert stage_end(None, 0, 7) == 7


@pytest.mark.parametrize(
    ("stages", "fault"),
    [
        ([{"share": 1.0}], "at least 2"),
        ([{"share": 0.1}, {"share": 0.5}], "the last stage has to be the share 1"),
        ([{"share": 0.1}, {"share": 1.0, "gate": {}}], "the last stage has to be the share 1"),
        ([{"share": 0.2}, {"share": 0.1}, {"share": 1.0}], "each share has to be larger"),
        ([{"count": 10}, {"share": 0.1}, {"count": 10}, {"share": 1.0}], "each count has to be larger"),
        ([{"share": 0.2, "count": 10}, {"share": 1.0}], "give either share or count"),
        ([{}, {"share": 1.0}], "give either share or count"),
        ([{"share": float("nan")}, {"share": 1.0}], "finite number"),
        ([{"count": 1, "gate": {"after": 3}}, {"share": 1.0}], "ISO 8601 duration"),
    ],
)
def test_a_pilot_that_makes_no_sense_is_refused(stages: list[dict[str, object]], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Pilot.model_validate({"stages": stages})


def test_a_stage_without_a_gate_of_its_own_has_the_default_limits() -> None:
    pilot = Pilot(stages=(Stage(count=1), Stage(count=2, gate=Gate(bounce_rate_at_most=None)), Stage(share=1.0)))
    assert gate_after(pilot, 0) == Gate()
    assert gate_after(pilot, 1).bounce_rate_at_most is None


def figures(**counts: int) -> Figures:
    return Figures(**{"enrolled": 1_000, "sent": 1_000, **counts})


@pytest.mark.parametrize(
    ("measured", "gate", "reason"),
    [
        (figures(complaints=3), Gate(), None),
        (figures(complaints=4), Gate(), "complaint rate 0.40% (4 of 1000) of messages is above 0.30%"),
        (figures(bounces=50), Gate(), None),
        (figures(bounces=51), Gate(), "bounce rate 5.10% (51 of 1000) of messages is above 5.00%"),
        (figures(complaints=900, bounces=900), Gate(complaint_rate_at_most=None, bounce_rate_at_most=None), None),
        (
            figures(complaints=1),
            Gate(complaint_rate_at_most=0),
            "complaint rate 0.10% (1 of 1000) of messages is above 0.00%",
        ),
        (figures(goals=50), Gate(goal_rate_at_least=0.05), None),
        (
            figures(goals=49),
            Gate(goal_rate_at_least=0.05),
            "goal rate 4.90% (49 of 1000) of enrollments is below 5.00%",
        ),
        (figures(sent=0), Gate(), "0 messages were sent, fewer than 1: nothing is proven"),
        (figures(sent=0), Gate(minimum_sent=0), None),
        (figures(sent=99), Gate(minimum_sent=100), "99 messages were sent, fewer than 100: nothing is proven"),
    ],
)
def test_what_a_gate_says_once_its_time_is_over(measured: Figures, gate: Gate, reason: str | None) -> None:
    assert gate.breach(measured, over=True) == reason


def test_before_its_time_is_over_the_first_complaint_of_a_few_messages_is_no_rate() -> None:
    gate = Gate(goal_rate_at_least=0.05)
    assert gate.breach(figures(sent=10, complaints=1), over=False) is None
    assert gate.breach(figures(sent=10, complaints=4), over=False) is not None, "it would be too many of 1,000 as well"
    assert gate.breach(figures(sent=10, complaints=1), over=True) is not None


@given(st.builds(Figures, enrolled=COUNTS, goals=COUNTS, sent=COUNTS, complaints=COUNTS, bounces=COUNTS))
def test_what_halts_at_once_would_halt_at_the_end_too(measured: Figures) -> None:
    """While nothing else becomes of what was sent: to wait would not have helped."""
    gate = Gate()
    if gate.breach(measured, over=False):
        assert gate.breach(measured, over=True)


@given(COUNTS, st.integers(1, 5_000), st.integers(0, 1_000))
def test_a_rate_at_its_limit_is_allowed(count: int, sent: int, thousandths: int) -> None:
    gate = Gate(complaint_rate_at_most=thousandths / 1_000, bounce_rate_at_most=None)
    breached = gate.breach(Figures(enrolled=sent, sent=sent, complaints=count), over=True) is not None
    assert breached == (Fraction(count, sent) > Fraction(thousandths, 1_000))


@pytest.mark.parametrize(
    ("after", "every"),
    [(timedelta(0), LEAST_CHECK), (timedelta(hours=12), timedelta(minutes=30)), (timedelta(days=30), LONGEST_CHECK)],
)
def test_a_gate_is_looked_at_often_enough_and_not_too_often(after: timedelta, every: timedelta) -> None:
    assert Gate(after=after).looked_at_every == every


def test_the_gate_that_is_open_is_the_last_without_an_outcome() -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    opened = GateRecord(stage=0, opened_at=at, due_at=at)
    closed = opened.model_copy(update={"outcome": "passed"})
    assert open_gate([]) is None
    assert open_gate([closed]) is None
    assert open_gate([closed, opened]) is opened
