from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from domain.questions import Answer, ApprovalPlan, Asked, Choice, NudgeKind, Question, Refusal, Stage, nudges

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
CHOICES = (Choice.APPROVE, Choice.REJECT, Choice.DELEGATE)


class Meeting:
    """A question, and people who answer it one after the other."""

    def __init__(self, *asked: str, needs: Literal["any", "all"] = "any", **others: Any) -> None:
        self.question = Question("q", "approval", asked, CHOICES, needs, **others)

    def hears(self, person: str, choice: Choice, delegate: str | None = None, at: datetime = NOW) -> Refusal | None:
        answer = Answer(
            id=f"{len(self.question.answers)}",
            question_id="q",
            person_id=person,
            choice=choice,
            delegate_id=delegate,
            given_at=at,
        )
        if (refusal := self.question.refusal(answer, at)) is None:
            self.question.take(answer)
        return refusal


def test_any_is_settled_by_the_first_answer_and_all_by_everybodys_yes() -> None:
    first, everybody = Meeting("a", "b"), Meeting("a", "b", needs="all")
    for meeting in (first, everybody):
        meeting.hears("a", Choice.APPROVE)
    assert (first.question.settled, everybody.question.settled) == (Choice.APPROVE, None)
    everybody.hears("b", Choice.APPROVE)
    assert everybody.question.settled is Choice.APPROVE


def test_one_no_ends_it() -> None:
    meeting = Meeting("a", "b", "c", needs="all")
    meeting.hears("b", Choice.REJECT)
    assert meeting.question.settled is Choice.REJECT
    assert meeting.hears("a", Choice.APPROVE) is Refusal.NOT_PENDING


def test_a_decision_that_is_given_away_twice_is_the_last_ones() -> None:
    meeting = Meeting("a", needs="all")
    meeting.hears("a", Choice.DELEGATE, "b")
    meeting.hears("b", Choice.DELEGATE, "c")
    assert meeting.hears("b", Choice.APPROVE) is Refusal.ANSWERED
    assert meeting.hears("a", Choice.APPROVE) is Refusal.ANSWERED
    assert meeting.question.settled is None
    meeting.hears("c", Choice.APPROVE)
    assert meeting.question.settled is Choice.APPROVE


@pytest.mark.parametrize("delegate", ["a", "b"])
def test_nobody_gets_a_decision_back_or_keeps_it_by_giving_it_away(delegate: str) -> None:
    meeting = Meeting("a")
    meeting.hears("a", Choice.DELEGATE, "b")
    assert meeting.hears("b", Choice.DELEGATE, delegate) is Refusal.NOT_A_CHOICE
    assert meeting.hears("b", Choice.APPROVE) is None


def test_whoever_has_agreed_speaks_also_for_those_who_trust_them() -> None:
    meeting = Meeting("a", "b", needs="all")
    meeting.hears("a", Choice.APPROVE)
    meeting.hears("b", Choice.DELEGATE, "a")
    assert meeting.question.settled is Choice.APPROVE


def test_an_answer_counts_if_it_was_given_in_time() -> None:
    meeting = Meeting("a", "b", closes=lambda: NOW + timedelta(days=7))
    assert meeting.hears("a", Choice.APPROVE, at=NOW + timedelta(days=7, seconds=1)) is Refusal.NOT_PENDING
    assert meeting.hears("b", Choice.APPROVE, at=NOW + timedelta(days=7)) is None


def test_people_are_known_to_flows_by_their_ids_alone() -> None:
    with pytest.raises(ValidationError, match="is not a UUID"):
        Asked(person_id="rosa@example.com")


def test_reminders_escalation_and_expiry_fall_due_in_order() -> None:
    plan = ApprovalPlan(
        stages=(Stage(asks=(Asked(role="sales"),)),),
        remind_every=timedelta(days=2),
        escalate_after=timedelta(days=3),
        escalate_to=Asked(role="sales_manager"),
        expires_after=timedelta(days=5),
    )
    due = [(nudge.after.days, nudge.kind) for nudge in nudges(plan)]
    assert due == [(2, NudgeKind.REMIND), (3, NudgeKind.ESCALATE), (4, NudgeKind.REMIND), (5, NudgeKind.EXPIRE)]
