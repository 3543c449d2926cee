"""Sending email: permission, ledger and provider, so that a step's message reaches the contact at most once."""

from __future__ import annotations

import asyncio
import logging
import operator
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import timedelta

from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from domain.contacts import Contact
from domain.flows import FlowSettings
from domain.messages import (
    DeliveryAmbiguous,
    EmailMessage,
    Mailer,
    MessageClass,
    MessageRejected,
    MessageStatus,
    NotAccepted,
    Sender,
    SendResult,
    refusal,
)
from emails.templates import Templates
from store import contacts, ledger
from store.database import Database
from store.ledger import Verdict
from store.tables import ContactRow, EnrollmentRow, MessageRow, new_id, now

logger = logging.getLogger(__name__)


HEARTBEAT_TIMEOUT = timedelta(seconds=15)
"""After it the worker is taken for dead, and another attempt begins."""
_BEAT_SECONDS = 5


class SendEmail(BaseModel):
    """One step's message: the template `emails/<flow>/<message>` to the contact of the enrollment."""

    enrollment_id: str
    step: str
    message: str
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
        self._database = database
        self._mailer = mailer
        self._templates = templates
        self._sender = sender
        self._settings_models = settings_models
        self._unsubscribe_url = unsubscribe_url
        self._threads = threads

    @activity.defn(name="email.send")
    async def send(self, order: SendEmail) -> SendResult:
        """Send one message, or say why not.

        Returns: sent, skipped (why), rejected (why), or unconfirmed if nobody can say whether the provider has it.
        Raises: ApplicationError `EmailNotAccepted`, retried, after the provider's own delay where it gives one.
        Idempotency: after a provider's answer, or in doubt about it, no attempt hands the message over again. An
        answer that cannot be written to the ledger is kept in the heartbeat, for the next attempt to write down.
        Cancellation comes too late once the work has begun: the message is brought to its end first.
        """
        sending = asyncio.create_task(self._send(order))
        heart = asyncio.create_task(_beat())
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            await sending
            raise
        finally:
            heart.cancel()

    async def _send(self, order: SendEmail) -> SendResult:
        for kept in activity.info().heartbeat_details:
            await self._settle(Verdict.model_validate(kept))
        async with self._database.write() as session:
            row, message = await self._reserve(session, order)
        retry_after = None
        if message is not None:
            verdict = await self._hand_over(message, row.handovers)
            retry_after = verdict.retry_after
            try:
                row = await self._settle(verdict)
            except SQLAlchemyError:
                activity.heartbeat(verdict.model_dump(mode="json"))
                raise
        logger.info(
            "email %s",
            row.status,
            extra={
                "enrollment_id": order.enrollment_id,
                "step": order.step,
                "message_id": row.id,
                "reason": row.reason,
            },
        )
        if row.status in (MessageStatus.READY, MessageStatus.SENDING):
            raise ApplicationError(
                row.reason or "",
                type="EmailNotAccepted",
                next_retry_delay=retry_after,
                category=ApplicationErrorCategory.BENIGN,  # logged above in one line, instead of with a stack trace
            )
        return SendResult(status=MessageStatus(row.status), reason=row.reason)

    async def _reserve(self, session: AsyncSession, order: SendEmail) -> tuple[MessageRow, EmailMessage | None]:
        """Decide on the message in one transaction; answer its row, and the email if it is to be handed over now."""
        enrollment = await session.get_one(EnrollmentRow, order.enrollment_id)
        row = await ledger.message_of_step(session, order.enrollment_id, order.step, *order.aliases) or MessageRow(
            id=new_id(),
            enrollment_id=enrollment.id,
            contact_id=enrollment.contact_id,
            step=order.step,
            status=MessageStatus.READY,
        )
        if row.status == MessageStatus.SENDING and not self._mailer.idempotent:
            row.status, row.reason = (
                MessageStatus.UNCONFIRMED,
                "an attempt ended before the provider's answer was recorded",
            )
        if row.status not in (MessageStatus.READY, MessageStatus.SENDING):
            session.add(row)
            return row, None

        contact_row = await session.get_one(ContactRow, enrollment.contact_id)
        kind = self._templates.message(enrollment.flow, order.message)
        row.reason = _withdrawal(enrollment) or refusal(
            kind.message_class,
            kind.topic,
            await contacts.consent_of(session, contact_row.id),
            await contacts.suppressions_of(session, contact_row.email),
        )
        if row.reason is not None:
            row.status, row.updated_at = MessageStatus.SKIPPED, now()
            session.add(row)
            return row, None

        # Not validated again: rules for input may be stricter by now than when the contact came in.
        contact = Contact.model_construct(**contact_row.model_dump())
        unsubscribe_url = (
            None if kind.message_class is MessageClass.TRANSACTIONAL else self._unsubscribe_url(contact.id)
        )
        rendered = self._templates.render(
            enrollment.flow,
            order.message,
            contact=contact,
            sender=self._sender,
            settings=self._settings_models[enrollment.flow].of(enrollment.settings),
            unsubscribe_url=unsubscribe_url,
        )
        row.subject, row.provider = rendered.subject, self._mailer.name
        row.status, row.updated_at = MessageStatus.SENDING, now()
        row.handovers += 1
        session.add(row)
        return row, EmailMessage(
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

    async def _hand_over(self, message: EmailMessage, handover: int) -> Verdict:
        verdict = Verdict(message_id=message.id, handover=handover, status=MessageStatus.SENT)
        loop = asyncio.get_running_loop()
        try:
            verdict.receipt = await loop.run_in_executor(self._threads, self._mailer.send, message)
        except MessageRejected as error:
            verdict.status, verdict.reason = MessageStatus.REJECTED, error.reason
        except DeliveryAmbiguous as error:
            verdict.status, verdict.reason = MessageStatus.UNCONFIRMED, error.reason
        except NotAccepted as error:
            verdict.status, verdict.reason, verdict.retry_after = MessageStatus.READY, error.reason, error.retry_after
        return verdict

    async def _settle(self, verdict: Verdict) -> MessageRow:
        async with self._database.write() as session:
            return await ledger.settle(session, verdict)


async def _beat() -> None:
    """Say that this worker lives, and keep what an earlier attempt has left to be written down."""
    while True:
        await asyncio.sleep(_BEAT_SECONDS)
        activity.heartbeat(*activity.info().heartbeat_details)


def _withdrawal(enrollment: EnrollmentRow) -> str | None:
    if enrollment.status == "ended":
        return f"the enrollment ended: {enrollment.exit}"
    return "the enrollment was cancelled" if enrollment.cancel_requested_at else None
