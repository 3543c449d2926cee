"""Sending email: permission, ledger and provider, so that a step's message reaches the contact at most once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from pydantic import BaseModel, Field
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.handover import Handover
from domain.contacts import Contact
from domain.flows import FlowSettings
from domain.messages import EmailMessage, Mailer, MessageClass, MessageStatus, Sender, SendResult, refusal
from emails.templates import Templates
from store import contacts
from store.database import Database
from store.enrollments import withdrawal
from store.tables import ContactRow, EnrollmentRow, MessageRow


class SendEmail(BaseModel):
    """One step's message: the template `emails/<flow>/<message>` to the contact of the enrollment."""

    enrollment_id: str
    step: str
    message: str | None = Field(default=None, exclude_if=operator.not_, description="null: called like the step")
    aliases: list[str] = Field(
        default_factory=list, exclude_if=operator.not_, description="other names of the step, in the ledger too"
    )


class EmailActivities:
    """`threads` runs the provider's blocking calls; `unsubscribe_url` makes a contact's own link."""

    def __init__(
        self,
        database: Database,
        mailer: Mailer,
        templates: Templates,
        sender: Sender,
        settings_models: Mapping[str, type[FlowSettings]],
        unsubscribe_url: Callable[[str], str],
        threads: Executor,
    ) -> None:
        self._handover = Handover(database, mailer, threads)
        self._templates = templates
        self._sender = sender
        self._settings_models = settings_models
        self._unsubscribe_url = unsubscribe_url

    @activity.defn(name="email.send")
    async def send(self, order: SendEmail) -> SendResult:
        """Send one message, or say why not.

        Returns: sent, skipped (why), rejected (why), or unconfirmed if nobody can say whether the provider has it.
        Raises, and when it is repeated: as `Handover.message` says. Cancellation comes too late once it has begun.
        """
        return await self._handover.to_its_end(self._send(order))

    async def _send(self, order: SendEmail) -> SendResult:
        async def compose(session: AsyncSession, enrollment: EnrollmentRow, row: MessageRow) -> EmailMessage | str:
            return await self._compose(session, enrollment, row, order)

        row = await self._handover.message(order.enrollment_id, order.step, compose, aliases=order.aliases)
        return SendResult(status=MessageStatus(row.status), reason=row.reason)

    async def _compose(
        self, session: AsyncSession, enrollment: EnrollmentRow, row: MessageRow, order: SendEmail
    ) -> EmailMessage | str:
        contact_row = await session.get_one(ContactRow, enrollment.contact_id)
        name = order.message or order.step
        kind = self._templates.message(enrollment.flow, name)
        refused = withdrawal(enrollment) or refusal(
            kind.message_class,
            kind.topic,
            await contacts.consent_of(session, contact_row.id),
            await contacts.suppressions_of(session, contact_row.email),
        )
        if refused is not None:
            return refused
        # Not validated again: rules for input may be stricter by now than when the contact came in.
        contact = Contact.model_construct(**contact_row.model_dump())
        unsubscribe_url = (
            None if kind.message_class is MessageClass.TRANSACTIONAL else self._unsubscribe_url(contact.id)
        )
        rendered = self._templates.render(
            enrollment.flow,
            name,
            contact=contact,
            sender=self._sender,
            settings=self._settings_models[enrollment.flow].of(enrollment.settings),
            unsubscribe_url=unsubscribe_url,
        )
        return EmailMessage(
            id=row.id,
            flow=enrollment.flow,
            step=order.step,
            sender=self._sender,
            to_email=contact.email,
            to_name=f"{contact.first_name} {contact.last_name}".strip(),
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            unsubscribe_url=unsubscribe_url,
        )
