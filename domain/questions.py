"""Questions that a flow asks people of the team, and what they answer: to approve, to do a task, to take a lead.

A question is pending in the flow's workflow, which alone decides whether an answer counts. Ids are of people, never
their names: what stands here is in Temporal's histories.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, NamedTuple, Self
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from domain.limits import Duration, Id
from domain.people import Role

LEAST_PAUSE = timedelta(minutes=1)
"""Between reminders: a setting of seconds must not fill an inbox or a history."""
_QUESTIONS = UUID("b7d4a7c2-51a3-5f0e-9d0b-6a3c8e1f2d47")


class Choice(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    DELEGATE = "delegate"
    """Somebody else answers in my place."""
    DONE = "done"
    ACCEPT = "accept"
    DECLINE = "decline"


class Answer(BaseModel):
    """`id` is the stored answer's: a second delivery is known by it. `delegate_id` is given with `delegate` alone.

    Whether it came in time is told by `given_at`: what was answered while no worker was there to hear it counts.
    """

    id: str
    question_id: str
    stage: int = Field(default=0, exclude_if=operator.not_, description="of an approval, from 0")
    person_id: str
    choice: Choice
    delegate_id: str | None = Field(default=None, exclude_if=operator.not_)
    given_at: datetime


class Refusal(StrEnum):
    """Why an answer does not count; also the type of the workflow's error."""

    NOT_PENDING = "NotPending"
    """It was decided, expired or withdrawn, or the flow does not ask it any more."""
    NOT_ASKED = "NotAsked"
    """This person is not asked, or has given the question to somebody else."""
    ANSWERED = "AlreadyAnswered"
    """This person answered before."""
    NOT_A_CHOICE = "NotAChoice"
    MOVING = "EnrollmentMoving"
    """The run goes on as another one at this moment: ask again."""


class Asked(BaseModel):
    """Who is asked: everybody in a role, one person by id, or the owner of the lead. Exactly one of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role | None = Field(default=None, examples=["sales_manager"])
    person_id: Id | None = None
    lead_owner: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum((self.role is not None, self.person_id is not None, self.lead_owner)) != 1:
            raise ValueError("name one of role, person_id and lead_owner")
        return self

    def __str__(self) -> str:
        return self.role or ("the lead's owner" if self.lead_owner else f"person {self.person_id}")


class Stage(BaseModel):
    """One round of an approval: `any` is decided by the first answer, `all` needs everybody's yes; one no ends it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asks: tuple[Asked, ...] = Field(min_length=1, max_length=20)
    needs: Literal["any", "all"] = "any"


class ApprovalPlan(BaseModel):
    """Who decides, one stage after the other, and what happens until they do. The times count in each stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: tuple[Stage, ...] = Field(min_length=1, max_length=10)
    remind_every: Duration | None = Field(
        default=timedelta(days=1), ge=LEAST_PAUSE, description="a minute at least; null: no reminders"
    )
    escalate_after: Duration | None = Field(default=None, description="then `escalate_to` is asked too; null: never")
    escalate_to: Asked | None = None
    expires_after: Duration = Field(
        default=timedelta(days=7), gt=timedelta(0), description="without a decision by then it is expired"
    )
    asker_may_decide: bool = Field(default=False, description="whoever enrolled the contact may approve it themselves")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.escalate_after is None) != (self.escalate_to is None):
            raise ValueError("escalate_after and escalate_to belong together")
        if self.escalate_after is not None and self.escalate_after >= self.expires_after:
            raise ValueError("escalate_after has to come before expires_after")
        return self


class NudgeKind(StrEnum):
    """Why somebody is written to."""

    ASK = "ask"
    DELEGATE = "delegate"
    REMIND = "remind"
    ESCALATE = "escalate"
    EXPIRE = "expire"


class Nudge(NamedTuple):
    """What is due in a stage, how long after it began; `name` is unique in it."""

    after: timedelta
    kind: NudgeKind
    name: str


def reminders(every: timedelta | None, until: timedelta) -> list[Nudge]:
    """Reminders that come before an end, at most 50 of them, and a minute apart at least."""
    pause = max(every, LEAST_PAUSE) if every else until
    return [
        Nudge(pause * number, NudgeKind.REMIND, f"remind-{number}") for number in range(1, 51) if pause * number < until
    ]


def nudges(plan: ApprovalPlan) -> list[Nudge]:
    """All that is due in a stage, in order; its expiry is the last."""
    due = reminders(plan.remind_every, plan.expires_after)
    if plan.escalate_after is not None:
        due.append(Nudge(plan.escalate_after, NudgeKind.ESCALATE, "escalate"))
    return [*sorted(due), Nudge(plan.expires_after, NudgeKind.EXPIRE, "expire")]


class Outcome(StrEnum):
    """How an approval ended."""

    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SKIPPED = "skipped"
    """It was inserted by an edit where the contact had passed: nobody was asked."""

    @classmethod
    def of(cls, settled: Choice | None) -> Outcome:
        """What a question that came to this, or to nothing in time, means for its approval."""
        return {Choice.APPROVE: cls.APPROVED, Choice.REJECT: cls.REJECTED, None: cls.EXPIRED}[settled]


class Decision(BaseModel):
    """What came of `ask`. `content_hash` is of what was asked: other content is asked again."""

    outcome: Outcome
    content_hash: str = ""

    @property
    def approved(self) -> bool:
        return self.outcome is Outcome.APPROVED


class Question:
    """A question that is pending, as the workflow knows it: who may answer, and what counts."""

    def __init__(
        self,
        question_id: str,
        what: str,
        asked: Iterable[str],
        choices: Collection[Choice],
        needs: Literal["any", "all"] = "any",
        stage: int = 0,
        answers: Iterable[Answer] = (),
        closes: Callable[[], datetime] | None = None,
    ) -> None:
        """`what` names it to operators. `answers` are all that are known; those to other questions are passed by.

        `closes` tells after which moment, on the contact's clock, no answer counts: a hold moves it.
        """
        self.id = question_id
        self.what = what
        self.stage = stage
        self.answers = [answer for answer in answers if self._is_mine(answer)]
        self._asked = dict.fromkeys(asked)
        self._choices = choices
        self._needs = needs
        self._closes = closes
        self.told = 0
        """How many delegates were written to in this run."""

    def also(self, people: Iterable[str]) -> None:
        """More people are asked."""
        self._asked |= dict.fromkeys(people)

    def refusal(self, answer: Answer, at: datetime) -> Refusal | None:
        """Why an answer, given at this moment of the contact's clock, would not count; None if it does."""
        if self.settled is not None or not self._is_mine(answer) or (self._closes is not None and at > self._closes()):
            return Refusal.NOT_PENDING
        if any(given.person_id == answer.person_id for given in self.answers):
            return Refusal.ANSWERED
        if answer.person_id not in self._may_answer:
            return Refusal.NOT_ASKED
        if answer.delegate_id in {answer.person_id, *(delegation.person_id for delegation in self.delegations)}:
            return Refusal.NOT_A_CHOICE
        if answer.choice not in self._choices or (answer.choice is Choice.DELEGATE) != (answer.delegate_id is not None):
            return Refusal.NOT_A_CHOICE
        return None

    def take(self, answer: Answer) -> None:
        self.answers.append(answer)

    @property
    def settled(self) -> Choice | None:
        """What the answers come to; None while more are needed."""
        given = {answer.person_id: answer.choice for answer in self.answers if answer.choice is not Choice.DELEGATE}
        if (no := next((choice for choice in given.values() if choice is Choice.REJECT), None)) is not None:
            return no
        if self._needs == "all" and not self._may_answer <= set(given):
            return None
        return next(iter(given.values()), None)

    @property
    def delegations(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.choice is Choice.DELEGATE]

    def __str__(self) -> str:
        """`approval by sales_manager, 1 of 2 answered`."""
        given = [answer for answer in self.answers if answer.choice is not Choice.DELEGATE]
        return f"{self.what}, {len(given)} of {len(self._may_answer)} answered"

    def _is_mine(self, answer: Answer) -> bool:
        return answer.question_id == self.id and answer.stage == self.stage

    @property
    def _may_answer(self) -> set[str]:
        delegated = {answer.person_id for answer in self.delegations}
        delegates = {answer.delegate_id for answer in self.delegations if answer.delegate_id}
        return (set(self._asked) | delegates) - delegated


class Taken(BaseModel):
    """The word of a workflow that an answer counts. `settled`: what the question came to, if this answer settled it."""

    settled: Choice | None = None


def question_id(enrollment_id: str, step: str) -> str:
    """The id of the question that a step asks: known before anybody is asked, and the same at each attempt."""
    return str(uuid5(_QUESTIONS, f"{enrollment_id}/{step}"))


def content_hash(subject: str, facts: Mapping[str, JsonValue]) -> str:
    """Sixteen hexadecimal digits that stand for what is asked."""
    canonical = json.dumps([subject, facts], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class TaskResult(BaseModel):
    """What came of `task`: done, overdue (nobody did it in time), open (the flow did not wait) or skipped."""

    status: Literal["done", "overdue", "open", "skipped"]
    asked: list[str] = Field(
        default_factory=list, exclude_if=operator.not_, description="who may do it, while it is open"
    )

    @property
    def done(self) -> bool:
        return self.status == "done"


class Assigned(BaseModel):
    """What came of `assign_lead`: the rep who accepted, and after how many offers; none if it was skipped."""

    status: Literal["accepted", "skipped"]
    person_id: str | None = None
    offers: int = 0


class Opened(BaseModel):
    """What an activity answers that asks people: all who may answer, as far as it knows."""

    asked: list[str] = Field(default_factory=list)


class Offer(BaseModel):
    """A lead as it is offered to a rep; without a person it waits in the queue.

    `number` counts the decisions on this lead. `respond_within` is real time: as long as the SLA takes in the rep's
    working hours.
    """

    number: int
    person_id: str | None = None
    accepted: bool = Field(default=False, exclude_if=operator.not_, description="a manager gave it to the rep by hand")
    respond_within: timedelta = timedelta(0)
