"""Emails to people of the team: through the same ledger as those to contacts, each at most once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, JsonValue
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.handover import Handover, Skip
from domain.contacts import Contact
from domain.messages import EmailMessage, Sender
from emails.templates import Templates
from emails.words import Words
from store import people
from store.enrollments import withdrawal
from store.ledger_tables import MessageRow
from store.tables import ContactRow, EnrollmentRow


class Letter(BaseModel):
    """What several people are written. `part` is the part of the step that writes it: each of them gets it once.

    `in_place_of`: by the id of a delegate, ids of those whose decision they have.
    """

    enrollment_id: str
    part: str
    message: str
    subject: str
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    until: datetime | None = None
    in_place_of: dict[str, set[str]] = Field(default_factory=dict)


class PeopleMail:
    def __init__(self, handover: Handover, templates: Templates, words: Words, sender: Sender) -> None:
        self.handover = handover
        self._templates = templates
        self._words = words
        self._sender = sender

    async def write(self, letter: Letter, urls: Mapping[str, str]) -> None:
        """Write to the people whose ids are keys of `urls`; each value is where that person answers.

        Idempotency: a letter that was sent, or is in doubt, is not sent again to the same person.
        Raises: ApplicationError `EmailNotAccepted`, when the letters before it are out.
        """
        for person_id in urls:

            async def compose(session: AsyncSession, enrollment: EnrollmentRow, row: MessageRow) -> EmailMessage | Skip:
                return await self._compose(session, enrollment, row, letter, urls)

            await self.handover.message(
                letter.enrollment_id, f"{letter.part}/{person_id}", compose, person_id=person_id
            )

    async def _compose(
        self,
        session: AsyncSession,
        enrollment: EnrollmentRow,
        row: MessageRow,
        letter: Letter,
        urls: Mapping[str, str],
    ) -> EmailMessage | Skip:
        if withdrawn := withdrawal(enrollment):
            return Skip(withdrawn)
        by_id = {person.id: person for person in await people.people_by_ids(session, urls)}
        person = by_id.get(row.person_id or "")
        if person is None or not person.active:
            return Skip("the person is not active any more")
        contact = await session.get_one(ContactRow, enrollment.contact_id)
        replaced = await people.people_by_ids(session, letter.in_place_of.get(person.id, ()))

        def said(text: str) -> str:
            return self._words.say(enrollment.flow, text, person.locale)

        rendered = self._templates.render_for_person(
            letter.message,
            person=person,
            contact=Contact.model_construct(**contact.model_dump()),
            sender=self._sender,
            subject=said(letter.subject),
            facts=[(said(name.replace("_", " ")), _written(value)) for name, value in letter.facts.items()],
            url=urls[person.id],
            until=letter.until.astimezone(ZoneInfo(person.time_zone)) if letter.until else None,
            others=[other.name for other in by_id.values() if other.id != person.id],
            in_place_of=[other.name for other in replaced],
        )
        return EmailMessage(
            id=row.id,
            flow=enrollment.flow,
            step=letter.part,
            sender=self._sender,
            to_email=person.email,
            to_name=person.name,
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            unsubscribe_url=None,
        )


def _written(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    return str(value)
