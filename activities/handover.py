"""From the ledger to the provider and back: how each message, to whomever, is handed over at most once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.outgoing import NoWay, Outgoing, Way
from domain.messages import (
    DeliveryAmbiguous,
    EmailMessage,
    InOutage,
    MessageRejected,
    MessageStatus,
    NotAccepted,
    ProviderUnavailable,
)
from domain.trail import minute
from store import holds, ledger
from store.database import Database
from store.enrollments import withdrawal
from store.ledger import Verdict
from store.ledger_tables import MessageRow
from store.tables import EnrollmentRow, day_of, month_of, new_id, now

logger = logging.getLogger(__name__)

T = TypeVar("T")
HEARTBEAT_TIMEOUT = timedelta(seconds=15)
"""After it the worker is taken for dead, and another attempt begins."""
ASKED_AGAIN_WHILE_HELD = timedelta(seconds=30)
_BEAT_SECONDS = 5
_AT_LEAST = timedelta(seconds=1)


class Skip(NamedTuple):
    """There is to be no message, and why."""

    reason: str


class Defer(NamedTuple):
    """Not now: to be decided on again at a moment."""

    reason: str
    until: datetime


Compose: TypeAlias = Callable[[AsyncSession, EnrollmentRow, MessageRow], Awaitable[EmailMessage | Skip | Defer]]
"""Answers the email of a row of the ledger, or why there is none, within the transaction that reserves it."""


ComposeAgain: TypeAlias = Callable[
    [AsyncSession, EnrollmentRow | None, MessageRow], Awaitable[EmailMessage | Skip | Defer]
]
"""The same; a message of a broadcast has no enrollment."""


class _Reserved(NamedTuple):
    """A message that is to be handed over now."""

    email: EmailMessage
    way: Way
    handover: int


class Handover:
    """`threads` runs the providers' blocking calls."""

    def __init__(self, database: Database, outgoing: Outgoing, threads: Executor) -> None:
        self._database = database
        self._outgoing = outgoing
        self._threads = threads

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do an activity's work, with heartbeats. Cancellation comes too late: the work is brought to its end first."""
        return await uninterrupted(self._after_what_was_kept(work))

    async def message(
        self,
        enrollment_id: str,
        step: str,
        compose: Compose,
        *,
        aliases: Sequence[str] = (),
        person_id: str | None = None,
        in_outage: InOutage = InOutage.OTHER_PROVIDER,
        build: str | None = None,
    ) -> MessageRow:
        """Hand over a step's message, or write down why not; answer its row of the ledger: settled, or deferred.

        One that is `ready` is for a task in its place: its provider is out of order, and `in_outage` asks for that.
        `build`, which the enrollment began on, is kept with it and with the message.

        Idempotency: after a provider's answer, or in doubt about it, no attempt hands the message over again. An
        answer that cannot be written to the ledger is kept in the heartbeat, for the next attempt to write down.
        Raises: ApplicationError `EmailNotAccepted`, retried, after the provider's own delay where it gives one,
        `ProviderPaused`, retried when the provider is asked next, and `EnrollmentHeld`, retried until it is resumed: a
        message that a step had begun goes out then.
        """
        async with self._database.write() as session:
            enrollment = await session.get_one(EnrollmentRow, enrollment_id)
            enrollment.build = enrollment.build or build
            row = await ledger.message_of_step(session, enrollment, step, *aliases) or MessageRow(
                id=new_id(),
                month=month_of(enrollment.created_at),
                flow=enrollment.flow,
                enrollment_id=enrollment.id,
                contact_id=enrollment.contact_id,
                person_id=person_id,
                step=step,
                entered_on=day_of(enrollment.created_at) if person_id is None else None,
                build=enrollment.build,
                status=MessageStatus.READY,
            )
            composing = partial(compose, session, enrollment, row)
            # Written once, when all is decided.
            with session.no_autoflush:
                reserved = await self._reserve(session, enrollment, row, composing, in_outage)
        return await self._carried_out(row, reserved, in_outage)

    async def again(self, message_id: str, compose: ComposeAgain) -> MessageRow:
        """The same for a message of the ledger that is to be resent, after a doubt about it was settled so."""
        async with self._database.write() as session:
            row = await ledger.lock_message(session, message_id)
            if row is None:
                raise ApplicationError("the message is gone", type="MessageGone", non_retryable=True)
            enrollment = None
            if row.enrollment_id is not None:
                enrollment = await session.get_one(EnrollmentRow, row.enrollment_id)
            composing = partial(compose, session, enrollment, row)
            with session.no_autoflush:
                reserved = await self._reserve(session, enrollment, row, composing, InOutage.HOLD)
        return await self._carried_out(row, reserved, InOutage.HOLD)

    async def _reserve(
        self,
        session: AsyncSession,
        enrollment: EnrollmentRow | None,
        row: MessageRow,
        compose: Callable[[], Awaitable[EmailMessage | Skip | Defer]],
        in_outage: InOutage,
    ) -> _Reserved | NoWay | None:
        """Decide on the message in one transaction; None: it is settled, deferred, or in doubt."""
        session.add(row)
        if row.status == MessageStatus.SENDING and not self._knows_repetitions(row):
            ledger.doubt(row, "an attempt ended before the provider's answer was recorded")
        if row.status not in ledger.OPEN:
            return None
        if await _is_held(session, enrollment, row):
            raise ApplicationError(
                "the enrollment is held" if enrollment else "the contact is held",
                type="EnrollmentHeld",
                next_retry_delay=ASKED_AGAIN_WHILE_HELD,
                category=ApplicationErrorCategory.BENIGN,
            )
        composed = await compose()
        row.updated_at, row.deferred_until = now(), None
        if isinstance(composed, Skip):
            row.status, row.reason = MessageStatus.SKIPPED, composed.reason
            return None
        if isinstance(composed, Defer):
            row.status, row.reason, row.deferred_until = MessageStatus.DEFERRED, composed.reason, composed.until
            return None
        way = await self._outgoing.way(session, row, in_outage)
        if isinstance(way, NoWay):
            row.status = MessageStatus.READY
            row.reason = f"{way.provider} is out of order" + (f" since {minute(way.since)}" if way.since else "")
            return way
        row.status, row.reason, row.handed_over_at = MessageStatus.SENDING, None, now()
        row.subject, row.provider = composed.subject, way.mailer.name
        row.handovers += 1
        return _Reserved(composed, way, row.handovers)

    def _knows_repetitions(self, row: MessageRow) -> bool:
        """Whether the provider that got the message delivers it once, however often it is handed over."""
        mailer = self._outgoing.mailers.get(row.provider or "")
        return mailer is not None and mailer.idempotent

    async def _carried_out(
        self, row: MessageRow, reserved: _Reserved | NoWay | None, in_outage: InOutage
    ) -> MessageRow:
        retry_after = None
        if isinstance(reserved, _Reserved):
            verdict = await self._hand_over(reserved)
            retry_after = verdict.retry_after
            try:
                row = await self._settle(verdict)
            except SQLAlchemyError:
                activity.heartbeat(verdict.model_dump(mode="json"))
                raise
        logger.info(
            "email %s",
            row.status,
            extra={"enrollment_id": row.enrollment_id, "step": row.step, "message_id": row.id, "reason": row.reason},
        )
        if isinstance(reserved, NoWay):
            if in_outage is InOutage.TASK and reserved.lasting:
                return row
            raise _again(row, "ProviderPaused", max(reserved.again_at - now(), _AT_LEAST))
        if row.status in (MessageStatus.READY, MessageStatus.SENDING):
            raise _again(row, "EmailNotAccepted", retry_after)
        return row

    async def _hand_over(self, reserved: _Reserved) -> Verdict:
        mailer, permission = reserved.way
        verdict = Verdict(
            message_id=reserved.email.id,
            handover=reserved.handover,
            provider=mailer.name,
            permission=permission,
            status=MessageStatus.SENT,
        )
        loop = asyncio.get_running_loop()
        try:
            verdict.receipt = await loop.run_in_executor(self._threads, mailer.send, reserved.email)
        except MessageRejected as error:
            verdict.status, verdict.reason = MessageStatus.REJECTED, error.reason
        except DeliveryAmbiguous as error:
            verdict.status, verdict.reason, verdict.provider_failed = MessageStatus.UNCONFIRMED, error.reason, True
        except NotAccepted as error:
            verdict.status, verdict.reason, verdict.retry_after = MessageStatus.READY, error.reason, error.retry_after
            verdict.provider_failed = isinstance(error, ProviderUnavailable)
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
        learn = self._outgoing.failed if verdict.provider_failed else self._outgoing.worked
        async with self._database.write() as session:
            row = await ledger.settle(session, verdict)
            await learn(session, verdict.provider, verdict.permission)
            return row


async def _is_held(session: AsyncSession, enrollment: EnrollmentRow | None, row: MessageRow) -> bool:
    """Whether what the message belongs to is held; who has left a flow waits for nothing any more."""
    if enrollment is not None:
        return withdrawal(enrollment) is None and await holds.is_held(session, enrollment)
    return bool(await holds.open_holds(session, holds.Scope.CONTACT, [row.contact_id]))


def _again(row: MessageRow, kind: str, delay: timedelta | None) -> ApplicationError:
    # Benign: it is logged in one line, instead of with a stack trace.
    return ApplicationError(
        row.reason or "", type=kind, next_retry_delay=delay, category=ApplicationErrorCategory.BENIGN
    )


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Do some work to its end, with heartbeats, also when the activity is cancelled meanwhile."""
    working = asyncio.create_task(work)
    heart = asyncio.create_task(_beat())
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await working
        raise
    finally:
        heart.cancel()


async def _beat() -> None:
    """Say that this worker lives, and keep what an earlier attempt has left to be written down."""
    while True:
        await asyncio.sleep(_BEAT_SECONDS)
        activity.heartbeat(*activity.info().heartbeat_details)
