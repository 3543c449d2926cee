"""From the ledger to the provider and back: how each message, to whomever, is handed over at most once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Executor
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from domain.messages import (
    DeliveryAmbiguous,
    EmailMessage,
    Mailer,
    MessageRejected,
    MessageStatus,
    NotAccepted,
)
from store import holds, ledger
from store.database import Database
from store.enrollments import withdrawal
from store.ledger import Verdict
from store.tables import EnrollmentRow, MessageRow, new_id, now

logger = logging.getLogger(__name__)

T = TypeVar("T")
HEARTBEAT_TIMEOUT = timedelta(seconds=15)
"""After it the worker is taken for dead, and another attempt begins."""
ASKED_AGAIN_WHILE_HELD = timedelta(seconds=30)
_BEAT_SECONDS = 5

Compose: TypeAlias = Callable[[AsyncSession, EnrollmentRow, MessageRow], Awaitable[EmailMessage | str]]
"""Answers the email of a row of the ledger or why there is to be none, within the transaction that reserves it."""


class Handover:
    """`threads` runs the provider's blocking calls."""

    def __init__(self, database: Database, mailer: Mailer, threads: Executor) -> None:
        self._database = database
        self._mailer = mailer
        self._threads = threads

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do an activity's work, with heartbeats. Cancellation comes too late: the work is brought to its end first."""
        working = asyncio.create_task(self._after_what_was_kept(work))
        heart = asyncio.create_task(_beat())
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await working
            raise
        finally:
            heart.cancel()

    async def message(
        self,
        enrollment_id: str,
        step: str,
        compose: Compose,
        *,
        aliases: Sequence[str] = (),
        person_id: str | None = None,
    ) -> MessageRow:
        """Hand over a step's message, or write down why not; answer its row of the ledger, which is settled then.

        Idempotency: after a provider's answer, or in doubt about it, no attempt hands the message over again. An
        answer that cannot be written to the ledger is kept in the heartbeat, for the next attempt to write down.
        Raises: ApplicationError `EmailNotAccepted`, retried, after the provider's own delay where it gives one, and
        `EnrollmentHeld`, retried until it is resumed: a message that a step had begun goes out then.
        """
        async with self._database.write() as session:
            row, message = await self._reserve(session, enrollment_id, step, compose, aliases, person_id)
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
                "enrollment_id": enrollment_id,
                "step": step,
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
        return row

    async def _reserve(
        self,
        session: AsyncSession,
        enrollment_id: str,
        step: str,
        compose: Compose,
        aliases: Sequence[str],
        person_id: str | None,
    ) -> tuple[MessageRow, EmailMessage | None]:
        """Decide on the message in one transaction; answer its row, and the email if it is to be handed over now."""
        enrollment = await session.get_one(EnrollmentRow, enrollment_id)
        row = await ledger.message_of_step(session, enrollment_id, step, *aliases) or MessageRow(
            id=new_id(),
            enrollment_id=enrollment.id,
            contact_id=enrollment.contact_id,
            person_id=person_id,
            step=step,
            status=MessageStatus.READY,
        )
        session.add(row)
        if row.status == MessageStatus.SENDING and not self._mailer.idempotent:
            row.status, row.reason = (
                MessageStatus.UNCONFIRMED,
                "an attempt ended before the provider's answer was recorded",
            )
        if row.status not in (MessageStatus.READY, MessageStatus.SENDING):
            return row, None
        if withdrawal(enrollment) is None and await holds.is_held(session, enrollment):
            raise ApplicationError(
                "the enrollment is held",
                type="EnrollmentHeld",
                next_retry_delay=ASKED_AGAIN_WHILE_HELD,
                category=ApplicationErrorCategory.BENIGN,
            )
        with session.no_autoflush:
            composed = await compose(session, enrollment, row)
        row.updated_at = now()
        if isinstance(composed, str):
            row.status, row.reason = MessageStatus.SKIPPED, composed
            return row, None
        row.status, row.reason = MessageStatus.SENDING, None
        row.subject, row.provider = composed.subject, self._mailer.name
        row.handovers += 1
        return row, composed

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

    async def _after_what_was_kept(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            for kept in activity.info().heartbeat_details:
                await self._settle(Verdict.model_validate(kept))
        except BaseException:
            work.close()
            raise
        return await work

    async def _settle(self, verdict: Verdict) -> MessageRow:
        async with self._database.write() as session:
            return await ledger.settle(session, verdict)


async def _beat() -> None:
    """Say that this worker lives, and keep what an earlier attempt has left to be written down."""
    while True:
        await asyncio.sleep(_BEAT_SECONDS)
        activity.heartbeat(*activity.info().heartbeat_details)
