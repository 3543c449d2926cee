"""Erasing a contact, part by part. A part that is done stands in the certificate, and is not done again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from datetime import timedelta

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from domain.durations import in_words
from domain.erasure import (
    Asked,
    Certificate,
    ContactRuns,
    Eraser,
    ErasureRefused,
    HistoriesDeleted,
    ProviderAsked,
    ProviderReply,
    RowsDeleted,
)
from domain.messages import NotAccepted
from store import erasures, personal_data, traces
from store.database import Database
from store.tables import ContactRow, ErasureRow, now

logger = logging.getLogger(__name__)

LOOKED_EVERY = timedelta(seconds=2)
TIMES_LOOKED = 90
"""For what is under way to end: longer together than any attempt to send lasts."""
PROVIDER_PATIENCE = timedelta(days=1)
SETTLING = timedelta(seconds=15)
"""Between two looks for runs: longer than the server's list lags behind, and than a start lasts that is under way."""
CRM = "crm-webhook"
"""Stands for the receiver of changes of contacts, which cannot be asked."""


class Erasure(BaseModel):
    """Which one: whose it is, only the database knows."""

    erasure_id: str


class ErasureActivities:
    """`erasers` by the name of the mailer whose messages they erase."""

    def __init__(
        self,
        database: Database,
        runs: ContactRuns,
        erasers: Mapping[str, Eraser],
        *,
        looked_every: timedelta = LOOKED_EVERY,
        times_looked: int = TIMES_LOOKED,
        provider_patience: timedelta = PROVIDER_PATIENCE,
        settling: timedelta = SETTLING,
    ) -> None:
        self._database = database
        self._runs = runs
        self._erasers = erasers
        self._looked_every = looked_every
        self._times_looked = times_looked
        self._provider_patience = provider_patience
        self._settling = settling

    @activity.defn(name="erasure.leave_flows")
    async def leave_flows(self, order: Erasure) -> None:
        """Have the contact leave every flow, and wait for it. What does not end in time is ended from outside.

        Raises: ApplicationError `StillUnderWay`, retried.
        """
        contact_id, done = await self._state(order)
        if contact_id is None or done.flows is not None:
            return
        in_time = activity.info().attempt <= self._times_looked
        await (self._runs.tell_to_leave(contact_id) if in_time else self._runs.end(contact_id))
        async with self._database.write() as session:
            left = await traces.under_way(session, contact_id)
            if not left.enrollments and not (left.handovers and in_time):
                erasure = await session.get_one(ErasureRow, order.erasure_id)
                await erasures.note(session, erasure.id, Certificate(flows=await traces.flows_left(session, erasure)))
                return
        told = f"enrollments to end: {left.enrollments}; messages with a provider: {left.handovers}"
        raise _again(told, "StillUnderWay", self._looked_every)

    @activity.defn(name="erasure.ask_providers")
    async def ask_providers(self, order: Erasure) -> None:
        """Ask every provider that has had a message of the contact, or about them, to erase them.

        Who refuses, has no way to be asked, or is away for too long stands in the certificate as to be done by hand.
        Raises: ApplicationError `ProviderAway`, retried, after the provider's own delay where it gives one.
        """
        contact_id, done = await self._state(order)
        if contact_id is None or done.rows is not None:
            return
        async with self._database.read() as session:
            contact = await session.get_one(ContactRow, contact_id)
            handed = await traces.handed_to_providers(session, contact_id)
            changes = await traces.changes_told(session, contact_id)
        replies = {asked.provider: asked for asked in done.providers or []}
        away: NotAccepted | None = None
        for provider in handed.keys() - replies.keys():
            try:
                reply = await self._ask(provider, contact.email, handed[provider])
            except NotAccepted as error:
                away = error
            else:
                replies[provider] = ProviderAsked(provider=provider, **reply.model_dump(), at=now())
        if changes and CRM not in replies:
            told = f"changes that its receiver may know: {changes}"
            replies[CRM] = ProviderAsked(provider=CRM, outcome=Asked.BY_HAND, detail=told, at=now())
        async with self._database.write() as session:
            await erasures.note(session, order.erasure_id, Certificate(providers=list(replies.values())))
        if away is not None:
            raise _again(away.reason, "ProviderAway", away.retry_after)

    async def _ask(self, provider: str, email: str, message_ids: Collection[str]) -> ProviderReply:
        eraser = self._erasers.get(provider)
        if eraser is None:
            told = f"there is no way to ask it; messages that it had: {len(message_ids)}"
            return ProviderReply(outcome=Asked.BY_HAND, detail=told)
        try:
            return await asyncio.to_thread(eraser.erase, email, message_ids)
        except ErasureRefused as error:
            return ProviderReply(outcome=Asked.BY_HAND, detail=error.reason)
        except NotAccepted as error:
            if now() - activity.info().scheduled_time < self._provider_patience:
                raise
            told = f"given up after {in_words(self._provider_patience)}: {error.reason}"
            return ProviderReply(outcome=Asked.BY_HAND, detail=told)

    @activity.defn(name="erasure.delete_rows")
    async def delete_rows(self, order: Erasure) -> None:
        """Delete the contact, and every row that is of them, in one transaction. Suppressions stay.

        Raises: ApplicationError `DatabaseBusy`, retried, while readers keep copies of what was deleted.
        """
        contact_id, done = await self._state(order)
        if contact_id is not None and done.rows is None:
            async with self._database.write() as session:
                contact = await session.get_one(ContactRow, contact_id, with_for_update=True)
                deleted = RowsDeleted(by_table=await personal_data.delete_all(session, contact), at=now())
                await erasures.note(session, order.erasure_id, Certificate(rows=deleted))
        await self._forget_deleted()

    @activity.defn(name="erasure.delete_histories")
    async def delete_histories(self, order: Erasure) -> None:
        """Delete every run of the contact from Temporal, until nothing of them is found.

        Raises: ApplicationError `LookAgain`, retried: at least once, and as long as anything was found.
        """
        contact_id, done = await self._state(order)
        if contact_id is None or done.histories is not None:
            return
        found = await self._runs.delete(contact_id)
        (before,) = activity.info().heartbeat_details or ([],)
        runs = sorted(found.union(before))
        if found or activity.info().attempt == 1:
            activity.heartbeat(runs)
            raise _again(f"runs that were deleted just now: {len(found)}", "LookAgain", self._settling)
        async with self._database.write() as session:
            deleted = HistoriesDeleted(runs=len(runs), at=now())
            await erasures.note(session, order.erasure_id, Certificate(histories=deleted))

    @activity.defn(name="erasure.finish")
    async def finish(self, order: Erasure) -> None:
        """Close the certificate: from here on nothing says whose it is. Raises: as `delete_rows`."""
        async with self._database.write() as session:
            await erasures.finish(session, order.erasure_id)
        await self._forget_deleted()
        logger.info("contact erased", extra={"erasure_id": order.erasure_id})

    async def _forget_deleted(self) -> None:
        if not await self._database.forget_deleted():
            raise _again("readers are in the way of SQLite's checkpoint", "DatabaseBusy")

    async def _state(self, order: Erasure) -> tuple[str | None, Certificate]:
        """The contact's id, None once all is done, and what is done."""
        async with self._database.read() as session:
            erasure = await session.get_one(ErasureRow, order.erasure_id)
        return erasure.contact_id, erasures.certificate(erasure)


def _again(reason: str, kind: str, after: timedelta | None = None) -> ApplicationError:
    # Benign: it is the plan to come back, and no stack trace in the log.
    return ApplicationError(reason, type=kind, next_retry_delay=after, category=ApplicationErrorCategory.BENIGN)
