"""Asking people to approve something, reminding and replacing them, and noting what came of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, JsonValue
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.leaving import refused_while_leaving
from activities.people_mail import Letter, PeopleMail
from domain.people import Person
from domain.questions import ApprovalPlan, Asked, Decision, NudgeKind, Opened, Outcome
from store import approvals, people
from store.database import Database
from store.enrollments import open_enrollment
from store.people_tables import ApprovalRequestRow, ApprovalRow
from store.questions import count_answers
from store.tables import ContactRow, EnrollmentRow, now

_MESSAGES = {NudgeKind.REMIND: "approval-reminder", NudgeKind.ESCALATE: "approval-escalated"}


class AskForApproval(BaseModel):
    """One asking in one stage. `why` decides who is asked: the stage's people, those who have not answered, whoever it
    is escalated to, or a delegate."""

    enrollment_id: str
    step: str
    subject: str
    facts: dict[str, JsonValue]
    content_hash: str
    plan: ApprovalPlan
    stage: int = 0
    part: str = ""
    why: NudgeKind = NudgeKind.ASK
    delegate_id: str | None = Field(default=None, exclude_if=operator.not_)

    def of_stage(self, stage: int) -> AskForApproval:
        return self.model_copy(update={"stage": stage})


class CloseApproval(BaseModel):
    """How it was decided. `answers`: ids of those that counted."""

    enrollment_id: str
    step: str
    content_hash: str
    outcome: Outcome
    answers: list[str]


class ApprovalActivities:
    """`url` makes the link by which a request, by its id, is answered."""

    def __init__(self, database: Database, mail: PeopleMail, url: Callable[[str], str]) -> None:
        self._database = database
        self._mail = mail
        self._url = url

    @activity.defn(name="approval.ask")
    async def ask(self, order: AskForApproval) -> Opened:
        """Write down who is asked, and write to them.

        Returns: all who are asked in this stage by now, but those whose place a delegate took; of a delegate, them.
        Idempotency: nobody is written to twice for the same part of a step.
        Raises: ApplicationError `EnrollmentLeaving` and `EmailNotAccepted`, both retried.
        """
        return await self._mail.handover.to_its_end(self._ask(order))

    async def _ask(self, order: AskForApproval) -> Opened:
        async with refused_while_leaving(), self._database.write() as session:
            enrollment = await open_enrollment(session, order.enrollment_id)
            approval = await approvals.open_approval(
                session,
                enrollment,
                step=order.step,
                subject=order.subject,
                facts=order.facts,
                content_hash=order.content_hash,
                stages=[stage.model_dump(mode="json") for stage in order.plan.stages],
            )
            written_to = await self._asked(session, enrollment, approval, order)
            # In whose place the delegate is asked may not be noted yet: whoever brought the answer does it.
            delegated = order.why is NudgeKind.DELEGATE
            requests = written_to if delegated else await approvals.requests_of_stage(session, approval)
            asked = [request.person_id for request in requests]
        letter = Letter(
            enrollment_id=order.enrollment_id,
            part=order.part,
            message=_MESSAGES.get(order.why, "approval"),
            subject=order.subject,
            facts=order.facts,
            until=approval.expires_at,
        )
        await self._mail.write(letter, {request.person_id: self._url(request.id) for request in written_to})
        return Opened(asked=asked)

    async def _asked(
        self, session: AsyncSession, enrollment: EnrollmentRow, approval: ApprovalRow, order: AskForApproval
    ) -> list[ApprovalRequestRow]:
        """Whom this asking is for, noted as asked."""
        if order.why is NudgeKind.ASK:
            await approvals.begin_stage(session, approval, order.stage, now() + order.plan.expires_after)
            await self._ask_each(session, enrollment, approval, order.plan.stages[order.stage].asks, "asked", order)
        elif order.why is NudgeKind.ESCALATE and order.plan.escalate_to is not None:
            before = {request.person_id for request in await approvals.requests_of_stage(session, approval)}
            await self._ask_each(session, enrollment, approval, [order.plan.escalate_to], "escalated", order)
            requests = await approvals.requests_of_stage(session, approval)
            return [request for request in requests if request.person_id not in before]
        elif order.why is NudgeKind.DELEGATE and order.delegate_id is not None:
            await approvals.ask_person(session, approval, order.delegate_id, role=None, reason="delegated")
        requests = await approvals.requests_of_stage(session, approval)
        if order.why is NudgeKind.DELEGATE:
            return [request for request in requests if request.person_id == order.delegate_id]
        if order.why is NudgeKind.REMIND:
            answered = await approvals.who_answered(session, approval)
            return [request for request in requests if request.person_id not in answered]
        return requests

    async def _ask_each(
        self,
        session: AsyncSession,
        enrollment: EnrollmentRow,
        approval: ApprovalRow,
        asks: Sequence[Asked],
        reason: str,
        order: AskForApproval,
    ) -> None:
        barred = None if order.plan.asker_may_decide else enrollment.requested_by
        for asked in asks:
            for person in await whoever_is(session, asked, enrollment):
                if person.id == barred:
                    continue
                await approvals.ask_person(session, approval, person.id, role=asked.role, reason=reason)
                delegate_id = _delegate_of(person)
                if delegate_id is not None and delegate_id != barred:
                    await approvals.delegate(session, approval, person.id, delegate_id)

    @activity.defn(name="approval.close")
    async def close(self, order: CloseApproval) -> Decision:
        """Note how an approval was decided. Idempotency: the first outcome stays."""
        async with refused_while_leaving(), self._database.write() as session:
            await open_enrollment(session, order.enrollment_id)
            await count_answers(session, order.answers)
            approval = await approvals.approval_of(session, order.enrollment_id, [order.step], order.content_hash)
            if approval is not None:
                await approvals.close_approval(session, approval, order.outcome)
        return Decision(outcome=order.outcome, content_hash=order.content_hash)


async def whoever_is(session: AsyncSession, asked: Asked, enrollment: EnrollmentRow) -> list[Person]:
    """The active people that are meant, as of now."""
    if asked.role is not None:
        return await people.people_in_role(session, asked.role)
    contact = await session.get_one(ContactRow, enrollment.contact_id)
    person_id = contact.owner_id if asked.lead_owner else asked.person_id
    found = await people.people_by_ids(session, [person_id]) if person_id else []
    return [person for person in found if person.active]


def _delegate_of(person: Person) -> str | None:
    """Who answers in their place today."""
    today = now().astimezone(ZoneInfo(person.time_zone)).date()
    absent = (absence for absence in person.absences if absence.first_day <= today <= absence.last_day)
    return next((absence.delegate for absence in absent), None)
