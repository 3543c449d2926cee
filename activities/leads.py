"""Offering a lead to reps, one after the other, and making the one who accepts its owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import BaseModel, Field
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.crm import ApplyChange, CrmActivities
from activities.leaving import refused_while_leaving
from activities.people_mail import Letter, PeopleMail
from domain.crm import Crm, SetOwner
from domain.messages import MessageStatus
from domain.people import MANAGERS
from domain.questions import Assigned, Offer
from store import assignments
from store.database import Database
from store.enrollments import open_enrollment
from store.ledger import message_of_step
from store.people import people_in_role
from store.people_tables import AssignmentRow
from store.questions import count_answers
from store.tables import ContactRow, EnrollmentRow, now

logger = logging.getLogger(__name__)


class OfferLead(BaseModel):
    """The next offer of a step. `number` is that of the offer before, which is over: declined, or without an answer."""

    enrollment_id: str
    step: str
    part: str = Field(description="the part of the step that makes this offer: its emails are known by it")
    respond_within: timedelta = Field(description="of the rep's working time")
    number: int | None = None
    declined: bool = False


class AcceptLead(BaseModel):
    """The newest offer of a step was accepted. `answers`: ids of those that counted."""

    enrollment_id: str
    step: str
    answers: list[str]


class LeadActivities:
    """`offer_url` and `queue_url` make the links by which a rep answers and a manager gives a lead by hand.

    Both are made from the ids of the assignment and of the person. `clock` tells who is at work.
    """

    def __init__(
        self,
        database: Database,
        mail: PeopleMail,
        crm: Crm,
        offer_url: Callable[[str, str], str],
        queue_url: Callable[[str, str], str],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._mail = mail
        self._crm = CrmActivities(crm)
        self._offer_url = offer_url
        self._queue_url = queue_url
        self._clock = clock
        # Those of this process who wait for their turn to choose hold no connection meanwhile.
        self._turn = asyncio.Lock()

    @activity.defn(name="lead.offer")
    async def offer(self, order: OfferLead) -> Offer:
        """Choose the rep who gets the lead next, and write to them; if there is nobody, to the managers.

        Returns: the offer; without a person the lead waits in the queue, from which somebody may take it meanwhile.
        Idempotency: an offer that stands is answered again, and written once. The rep's time to respond begins with
        the attempt that writes to them.
        Raises: ApplicationError `EnrollmentLeaving` and `EmailNotAccepted`, both retried.
        """
        return await self._mail.handover.to_its_end(self._offer(order))

    async def _offer(self, order: OfferLead) -> Offer:
        async with self._turn, refused_while_leaving(), self._database.write() as session:
            row = await assignments.current_offer(
                session,
                order.enrollment_id,
                order.step,
                at=self._clock(),
                before=order.number,
                declined=order.declined,
            )
            if row.status == "offered" and not await _is_written(session, order, row):
                await assignments.begin_response_time(session, row, order.respond_within, self._clock())
            contact = await session.get_one(ContactRow, row.contact_id)
            managers = [] if row.person_id else await people_in_role(session, MANAGERS)
        ids = {"enrollment_id": row.enrollment_id, "step": row.step, "assignment_id": row.id, "rule": row.rule}
        logger.info("lead %s", row.status, extra=ids)
        letter = Letter(
            enrollment_id=order.enrollment_id,
            part=order.part,
            message="lead-given" if row.status == "accepted" else "lead-offer",
            subject=_subject(contact),
            until=row.respond_by,
        )
        if row.person_id is not None:
            await self._mail.write(letter, {row.person_id: self._offer_url(row.id, row.person_id)})
            return _offer_of(row)
        if not managers:
            logger.warning("nobody is told of a lead that nobody can take: give somebody the role %s", MANAGERS)
        # Under another part: a manager may get the lead itself, at another attempt of this one.
        to_managers = letter.model_copy(update={"part": f"{order.part}/managers", "message": "lead-unassigned"})
        await self._mail.write(to_managers, {person.id: self._queue_url(row.id, person.id) for person in managers})
        return _offer_of(row)

    @activity.defn(name="lead.accept")
    async def accept(self, order: AcceptLead) -> Assigned:
        """Note that the newest offer was accepted, and make the rep the lead's owner.

        Idempotency: twice is once. Raises: ApplicationError `EnrollmentLeaving` and `CrmUnavailable`, both retried.
        """
        async with refused_while_leaving(), self._database.write() as session:
            await open_enrollment(session, order.enrollment_id)
            # Before the assignment, as where an answer is taken: so neither waits for the other.
            await count_answers(session, order.answers)
            row, offers = await assignments.accept(session, order.enrollment_id, order.step)
        owner = SetOwner(person_id=row.person_id)
        await self._crm.apply(ApplyChange(enrollment_id=order.enrollment_id, step=f"{order.step}/owner", change=owner))
        return Assigned(status="accepted", person_id=row.person_id, offers=offers)


async def _is_written(session: AsyncSession, order: OfferLead, row: AssignmentRow) -> bool:
    enrollment = await session.get_one(EnrollmentRow, order.enrollment_id)
    letter = await message_of_step(session, enrollment, f"{order.part}/{row.person_id}")
    return letter is not None and letter.status not in (MessageStatus.READY, MessageStatus.SENDING)


def _offer_of(row: AssignmentRow) -> Offer:
    within = row.respond_by - row.told_at if row.respond_by and row.told_at else timedelta(0)
    return Offer(number=row.number, person_id=row.person_id, accepted=row.status == "accepted", respond_within=within)


def _subject(contact: ContactRow) -> str:
    """The lead in a few words of any language: `Analytical Engines (Valparaíso, CL)`."""
    name = contact.company or f"{contact.first_name} {contact.last_name}".strip()
    place = ", ".join(part for part in (contact.region, contact.country) if part)
    return f"{name} ({place})" if name and place else name or place or contact.email
