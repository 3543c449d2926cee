"""Asking people to approve something, reminding and replacing them, and noting what came of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, JsonValue
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.leaving import refused_while_leaving
from activities.people_mail import Letter, PeopleMail
from domain.people import MANAGERS, Person
from domain.questions import ApprovalPlan, Asked, Decision, NudgeKind, Opened, Outcome
from domain.working_time import Absence
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
            if order.delegate_id is not None:
                # In whose place the delegate is asked may not be noted yet: whoever brought the answer does it.
                asked = [order.delegate_id]
            else:
                asked = [request.person_id for request in await approvals.requests_of_stage(session, approval)]
            in_place_of = await approvals.whose_decision(session, approval)
        letter = Letter(
            enrollment_id=order.enrollment_id,
            part=order.part,
            message=_MESSAGES.get(order.why, "approval"),
            subject=order.subject,
            facts=order.facts,
            until=approval.expires_at,
            in_place_of=in_place_of,
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
            # Whoever is asked themselves has the email: their one answer counts for both.
            return [each for each in requests if each.person_id == order.delegate_id and each.reason == "delegated"]
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
            whom = await whoever_is(session, asked, enrollment)
            for person in whom.people:
                if person.id == barred:
                    continue
                await approvals.ask_person(session, approval, person.id, role=whom.role, reason=reason)
                # Somebody who has the decision from another gives it to nobody who has given it away.
                given_away = await approvals.who_delegated(session, approval)
                delegate_id = await _stand_in(session, person, {person.id, *given_away, barred})
                if delegate_id is not None and person.id not in given_away:
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


class Whom(NamedTuple):
    """Active people, and the role in which they are asked; None: by name."""

    people: list[Person]
    role: str | None


async def whoever_is(session: AsyncSession, asked: Asked, enrollment: EnrollmentRow) -> Whom:
    """Who is meant, as of now.

    In place of one person who is inactive or gone, or of the owner of a lead that has none, it is everybody in the role
    MANAGERS: what nobody looks after is theirs.
    """
    if asked.role is None:
        contact = await session.get_one(ContactRow, enrollment.contact_id)
        person_id = contact.owner_id if asked.lead_owner else asked.person_id
        person = await people.person_by_id(session, person_id) if person_id else None
        if person is not None and person.active:
            return Whom([person], None)
    role = asked.role or MANAGERS
    return Whom(await people.people_in_role(session, role), role)


async def _stand_in(session: AsyncSession, person: Person, but: Collection[str | None]) -> str | None:
    """Who answers in their place today: their delegate or, if that one is absent too, whoever answers in theirs.

    None if they are there, or nobody is who might: then they are asked themselves. `but`: nobody of these.
    """
    delegate_id = next((absence.delegate for absence in _absences(person) if absence.delegate), None)
    if delegate_id is None or delegate_id in but:
        return None
    delegate = await people.person_by_id(session, delegate_id)
    if delegate is None or not delegate.active:
        return None
    return await _stand_in(session, delegate, {*but, delegate_id}) if _absences(delegate) else delegate_id


def _absences(person: Person) -> list[Absence]:
    """Those of today, where the person is."""
    today = now().astimezone(ZoneInfo(person.time_zone)).date()
    return [absence for absence in person.absences if absence.first_day <= today <= absence.last_day]
