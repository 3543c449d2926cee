"""Broadcasts: one message to many contacts, a batch at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.batch_composing import AT_ONCE
from activities.batch_handover import BatchHandover, BatchRefused
from activities.batch_reserving import Reserved, Reserving
from activities.broadcast_orders import (
    IN_FLIGHT,
    BatchDone,
    BroadcastOf,
    EndBroadcast,
    Plan,
    SendBatch,
    Winner,
)
from activities.handover import uninterrupted
from activities.outgoing import Outgoing
from domain.broadcasts import (
    CANCELLED,
    FLOW,
    HOLDOUT,
    OVER,
    BroadcastSettings,
    BroadcastStatus,
    parts_of,
    winner_of,
)
from domain.message_batches import BatchMailer
from domain.messages import MessageStatus, Sender
from emails.substitutions import SharedMessage
from emails.templates import TemplateError, Templates, UnknownMessage
from store import broadcast_ledger, broadcasts, ledger
from store.audiences import UnknownSource
from store.broadcast_ledger import Open, PostVerdict
from store.database import Database
from store.list_tables import BroadcastRow
from store.tables import month_of, now

logger = logging.getLogger(__name__)

LONGEST_BATCH = timedelta(minutes=1)
"""At the rate that is set: so long a batch may take, and no longer does it take for a hold to count."""
BATCH_OF_SINGLES = 100
"""Messages that are rendered and posted one by one."""
PAGE = 2000
"""Rows that are written down as skipped in one transaction."""
_AT_LEAST = timedelta(seconds=1)
_KEPT = 100
"""Messages that are prepared, with each variant's subject."""


class BroadcastActivities:
    """`per_second` is how many messages a broadcast hands over at the most."""

    def __init__(
        self,
        database: Database,
        outgoing: Outgoing,
        reserving: Reserving,
        templates: Templates,
        sender: Sender,
        threads: Executor,
        per_second: float,
    ) -> None:
        self._database = database
        self._outgoing = outgoing
        self._reserving = reserving
        self._handover = BatchHandover(database, outgoing, threads)
        self._templates = templates
        self._sender = sender
        self._per_second = per_second
        self._shared: dict[tuple[str, str | None], SharedMessage] = {}

    @activity.defn(name="broadcast.begin")
    async def begin(self, order: BroadcastOf) -> Plan:
        """Write down whom it is for, if its time has come, and plan its batches. Idempotent.

        What stands in its way, such as a template that is gone, holds it with a reason for people to read.
        """
        return await uninterrupted(self._begin(order))

    async def _begin(self, order: BroadcastOf) -> Plan:
        async with self._database.write() as session:
            row = await _locked(session, order.broadcast_id)
            settings = broadcasts.settings_of(row)
            plan = Plan(standing=BroadcastStatus(row.status), begins_at=settings.begins_at(row.created_at))
            if row.status not in (BroadcastStatus.WAITING, BroadcastStatus.SENDING) or plan.begins_at > now():
                return plan
            try:
                shared = self._message(row, settings, None)
                size = await broadcasts.begin(session, row)
            except (UnknownMessage, TemplateError, UnknownSource) as error:
                _hold(row, str(error))
                return plan.model_copy(update={"standing": BroadcastStatus.HELD})
            parts = parts_of(settings, size)
            return plan.model_copy(
                update={
                    "standing": BroadcastStatus.SENDING,
                    "size": size,
                    "tested": parts.tested,
                    "held_out": parts.held_out,
                    "batch": self._batch_size(shared),
                    "judged_after": settings.test.after if settings.test else timedelta(0),
                    "winner": row.winner,
                }
            )

    @activity.defn(name="broadcast.send_batch")
    async def send_batch(self, order: SendBatch) -> BatchDone:
        """Hand the message over to those of a batch who may get it now, and write down why not to the others.

        Idempotency: as `Handover.message`, for each contact. Of what an earlier attempt handed over without an answer
        nobody can say whether the provider has it: it is listed, and not handed over again.
        Raises: ApplicationError `EmailNotAccepted`, retried, after the provider's own delay where it gives one,
        `ProviderPaused`, retried when the provider is asked next, `WorkerStopping`, retried by another worker.
        """
        async with self._database.read() as session:
            row = await session.get_one(BroadcastRow, order.broadcast_id)
        return await self._handover.to_its_end(self._send(order, row), month_of(row.created_at))

    @activity.defn(name="broadcast.choose_winner")
    async def choose_winner(self, order: BroadcastOf) -> Winner:
        """Write down which variant the rest gets: the one with most clicks by people. Once chosen it stays."""
        async with self._database.write() as session:
            row = await _locked(session, order.broadcast_id)
            test = broadcasts.settings_of(row).test
            assert test is not None  # noqa: S101 (only a broadcast with a test has its winner chosen)
            if row.winner is None:
                counts = await broadcasts.variant_counts(session, row)
                row.winner = winner_of([variant.name for variant in test.variants], counts)
                session.add(row)
            return Winner(variant=row.winner)

    @activity.defn(name="broadcast.end")
    async def end(self, order: EndBroadcast) -> BatchDone:
        """Write down, as skipped, who is left: the holdout or, of a cancelled one, everybody; and that it is over.

        Idempotent. A killed attempt is gone on with: the heartbeat keeps the position that comes next.
        """
        async with self._database.write() as session:
            row = await _locked(session, order.broadcast_id)
            if order.cancelled and row.status not in OVER:
                row.status, row.reason = BroadcastStatus.CANCELLING, "cancelled in Temporal"
        skipped = 0
        if row.status == BroadcastStatus.CANCELLING:
            skipped += await self._skip_open(row)
        (position,) = activity.info().heartbeat_details or (0,)
        skipped += await self._skip_missing(row, position)
        async with self._database.write() as session:
            ended = await broadcasts.end(session, row.id)
        logger.info("broadcast %s", ended.status, extra={"broadcast_id": row.id})
        return BatchDone(standing=BroadcastStatus(ended.status), skipped=skipped)

    async def _skip_open(self, row: BroadcastRow) -> int:
        """Those who were to get it later."""
        skipped, count = 0, PAGE
        while count == PAGE:
            async with self._database.write() as session:
                count = await broadcast_ledger.skip_open(session, row, CANCELLED, PAGE)
            skipped += count
            activity.heartbeat(*activity.info().heartbeat_details)
        return skipped

    async def _skip_missing(self, row: BroadcastRow, position: int) -> int:
        """Those from a position on of whom nothing was decided: the holdout alone, but for one that was cancelled."""
        cancelled = row.status == BroadcastStatus.CANCELLING
        reason = CANCELLED if cancelled else HOLDOUT
        async with self._database.read() as session:
            size = await broadcasts.audience_size(session, row.id) if row.size is None else row.size
        if not cancelled:
            position = max(position, parts_of(broadcasts.settings_of(row), size).held_out)
        skipped = 0
        for first in range(position, size, PAGE):
            async with self._database.write() as session:
                page = await broadcast_ledger.members_in_range(session, row, first, first + PAGE)
                skipped += await broadcast_ledger.add_missing(session, [_skipped(row, each, reason) for each in page])
            activity.heartbeat(first + PAGE)
        return skipped

    # -- A batch ------------------------------------------------------------------------------------------------------

    async def _send(self, order: SendBatch, row: BroadcastRow) -> BatchDone:
        began = time.monotonic()
        done = BatchDone()
        members = await self._members(order, row)
        try:
            await self._send_to(members, row, done)
        except (UnknownMessage, TemplateError) as error:
            done.standing = await self._held(row.id, str(error))
        except BatchRefused as refusal:
            done.standing = await self._held(row.id, f"{refusal}; resume it once that is mended")
        if order.first is None:
            async with self._database.read() as session:
                done.due_at = await broadcast_ledger.next_due(session, row)
        if not members:
            done.standing = await self._standing(row.id)
        # At the pace of all that are in flight together.
        handed_over = done.sent + done.unconfirmed + done.rejected
        await _nap_until(began + handed_over * IN_FLIGHT / self._per_second)
        logger.info("batch handed over", extra={"broadcast_id": row.id, **done.model_dump(exclude={"due_at"})})
        return done

    async def _send_to(self, members: Sequence[Open], row: BroadcastRow, done: BatchDone) -> None:
        settings = broadcasts.settings_of(row)
        batches = isinstance(self._outgoing.primary, BatchMailer) and self._message(row, settings, None).is_plain
        left = list(members)
        size = len(left) if batches else AT_ONCE
        while left:
            piece, left = left[:size], left[size:]
            async with self._database.write() as session:
                done.standing = await broadcasts.standing(session, row.id)
                if done.standing is not BroadcastStatus.SENDING:
                    return
                reserved = await self._reserving.reserve(
                    session, row, settings, lambda variant: self._message(row, settings, variant), piece
                )
            await self._carry_out(reserved, done)
            # Who is left of a batch has a message of their own.
            left, size = [*reserved.left, *left], AT_ONCE
            if left and activity.is_worker_shutdown():
                raise _again("the worker is being stopped", "WorkerStopping", _AT_LEAST)

    async def _carry_out(self, reserved: Reserved, done: BatchDone) -> None:
        done.skipped += reserved.skipped
        done.deferred += reserved.deferred
        done.rejected += reserved.rejected
        verdicts = await self._handover.hand_over(reserved.posts)
        for verdict, count in _counted(reserved, verdicts):
            match verdict.status:
                case MessageStatus.SENT:
                    done.sent += count
                case MessageStatus.UNCONFIRMED:
                    done.unconfirmed += count
                case MessageStatus.REJECTED:
                    done.rejected += count
        given_back = [verdict for verdict in verdicts if verdict.status is MessageStatus.READY]
        if given_back:
            delays = [verdict.retry_after for verdict in given_back if verdict.retry_after is not None]
            raise _again(given_back[0].reason or "", "EmailNotAccepted", max(delays, default=None))
        if reserved.no_way is not None:
            away = reserved.no_way
            raise _again(f"{away.provider} is out of order", "ProviderPaused", max(away.again_at - now(), _AT_LEAST))

    async def _members(self, order: SendBatch, row: BroadcastRow) -> list[Open]:
        """Who is to be decided on. What an earlier attempt left with a provider is doubted, or handed over again."""
        async with self._database.write() as session:
            if order.first is not None and order.end is not None:
                members = await broadcast_ledger.open_in_range(session, row, order.first, order.end)
            else:
                members = await broadcast_ledger.open_and_due(session, row, now(), order.limit)
            doubted = await self._doubt(session, row, members)
        return [member for member in members if member.contact_id not in doubted]

    async def _doubt(self, session: AsyncSession, broadcast: BroadcastRow, members: Sequence[Open]) -> set[str]:
        known = [member.contact_id for member in members if member.position is None]
        doubted = set()
        rows = await broadcast_ledger.lock_rows(session, broadcast, known) if known else {}
        for row in rows.values():
            mailer = self._outgoing.mailers.get(row.provider or "")
            repeatable = mailer is self._outgoing.primary and mailer.idempotent
            if row.status == MessageStatus.SENDING and not repeatable:
                ledger.doubt(row, "an attempt ended before the provider's answer was recorded")
                session.add(row)
                doubted.add(row.contact_id)
        return doubted

    # -- What is known of the broadcast -------------------------------------------------------------------------------

    def _message(self, row: BroadcastRow, settings: BroadcastSettings, variant: str | None) -> SharedMessage:
        """Raises: UnknownMessage, TemplateError."""
        key = row.id, variant
        if key not in self._shared:
            if len(self._shared) >= _KEPT:
                self._shared.clear()
            self._templates.locales(FLOW, row.message)
            variants = settings.test.variants if settings.test else ()
            subjects = next((each.subject for each in variants if each.name == variant), {})
            self._shared[key] = SharedMessage(self._templates, FLOW, row.message, self._sender, subjects)
        return self._shared[key]

    def _batch_size(self, shared: SharedMessage) -> int:
        mailer = self._outgoing.primary
        most = mailer.batch_size if isinstance(mailer, BatchMailer) and shared.is_plain else BATCH_OF_SINGLES
        return max(1, min(most, int(self._per_second * LONGEST_BATCH.total_seconds() / IN_FLIGHT)))

    async def _standing(self, broadcast_id: str) -> BroadcastStatus:
        async with self._database.read() as session:
            return await broadcasts.standing(session, broadcast_id)

    async def _held(self, broadcast_id: str, reason: str) -> BroadcastStatus:
        async with self._database.write() as session:
            row = await _locked(session, broadcast_id)
            if row.status == BroadcastStatus.SENDING:
                _hold(row, reason)
            return BroadcastStatus(row.status)


async def _nap_until(moment: float) -> None:
    """On the monotonic clock; not while the worker is being stopped."""
    with suppress(TimeoutError):
        await asyncio.wait_for(activity.wait_for_worker_shutdown(), max(moment - time.monotonic(), 0))


async def _locked(session: AsyncSession, broadcast_id: str) -> BroadcastRow:
    row = await broadcasts.lock_broadcast(session, broadcast_id)
    assert row is not None  # noqa: S101 (a broadcast is never deleted)
    return row


def _hold(row: BroadcastRow, reason: str) -> None:
    row.status, row.reason = BroadcastStatus.HELD, reason
    logger.error("broadcast held", extra={"broadcast_id": row.id, "reason": reason})


def _skipped(row: BroadcastRow, contact_id: str, reason: str) -> dict[str, object]:
    return broadcast_ledger.new_row(row, contact_id, None, status=MessageStatus.SKIPPED, reason=reason)


def _counted(reserved: Reserved, verdicts: Sequence[PostVerdict]) -> list[tuple[PostVerdict, int]]:
    """Each verdict, and of how many messages it is."""
    sizes = {post.moment: len(post.ids) for post in reserved.posts}
    return [
        (verdict, sizes[verdict.handed_over_at] if verdict.ids is None else len(verdict.ids)) for verdict in verdicts
    ]


def _again(reason: str, kind: str, delay: timedelta | None) -> ApplicationError:
    # Benign: it is logged in one line, instead of with a stack trace.
    return ApplicationError(reason, type=kind, next_retry_delay=delay, category=ApplicationErrorCategory.BENIGN)
