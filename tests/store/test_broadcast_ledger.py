"""The ledger of a broadcast, many rows at a time: what a verdict changes, and what it must not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.circuit import Send
from domain.messages import MessageStatus, Receipt
from store import broadcast_ledger
from store.broadcast_ledger import PostVerdict, settle_post
from store.database import Database
from store.ledger import doubt
from store.ledger_tables import MessageRow
from store.list_tables import BroadcastRow
from store.tables import month_of, new_id, now
from tests.activities.broadcasting import asked_for, contacts
from tests.address_keys import ADDRESS_KEYS

EARLIER, LATER = now(), now() + timedelta(seconds=20)


async def sending(database: Database, **values: Any) -> tuple[BroadcastRow, list[str]]:
    """Three messages that are with a provider."""
    ids = await contacts(database, 3)
    broadcast = await asked_for(database, ids)
    reserved = {"status": MessageStatus.SENDING, "handed_over_at": LATER, "provider": "post", "handovers": 1, **values}
    rows = [broadcast_ledger.new_row(broadcast, contact_id, None, **reserved) for contact_id in ids]
    async with database.write() as session:
        await broadcast_ledger.add_rows(session, rows)
    return broadcast, [str(row["id"]) for row in rows]


def verdict(broadcast: BroadcastRow, status: MessageStatus, **values: Any) -> PostVerdict:
    of = {"broadcast_id": broadcast.id, "handed_over_at": LATER, "provider": "post", "permission": Send(0)}
    if status is MessageStatus.SENT:
        of["receipt"] = Receipt(provider="post", provider_message_id="r-1")
    return PostVerdict.model_validate({**of, "status": status, **values})


async def found(database: Database, ids: list[str]) -> list[MessageRow]:
    async with database.read() as session:
        return list(
            await session.exec(select(MessageRow).where(col(MessageRow.id).in_(ids)).order_by(col(MessageRow.id)))
        )


async def settle(database: Database, told: PostVerdict, broadcast: BroadcastRow, ids: list[str] | None) -> None:
    async with database.write() as session:
        await settle_post(session, month_of(broadcast.created_at), told, ids)


@pytest.mark.parametrize("known", [True, False])
async def test_a_receipt_settles_all_rows_of_its_request(database: Database, known: bool) -> None:
    broadcast, ids = await sending(database)
    await settle(database, verdict(broadcast, MessageStatus.SENT), broadcast, ids if known else None)
    rows = await found(database, ids)
    assert {(row.status, row.provider_message_id, len(row.attempts)) for row in rows} == {("sent", "r-1", 1)}
    assert all(row.sent_at for row in rows)


async def test_a_refusal_gives_back_what_no_provider_has(database: Database) -> None:
    broadcast, ids = await sending(database)
    await settle(database, verdict(broadcast, MessageStatus.READY, reason="busy"), broadcast, ids)
    rows = await found(database, ids)
    assert {(row.status, row.reason, row.handed_over_at) for row in rows} == {("ready", "busy", None)}


@pytest.mark.parametrize("known", [True, False])
async def test_a_refusal_that_comes_late_releases_nothing_that_was_handed_over_since(
    database: Database, known: bool
) -> None:
    broadcast, ids = await sending(database)
    late = verdict(broadcast, MessageStatus.READY, handed_over_at=EARLIER)
    await settle(database, late, broadcast, ids if known else None)
    assert {row.status for row in await found(database, ids)} == {"sending"}


async def test_a_receipt_settles_what_was_doubted_meanwhile_and_leaves_what_is_settled(database: Database) -> None:
    broadcast, ids = await sending(database)
    async with database.write() as session:
        first, second, _ = await session.exec(
            select(MessageRow).where(col(MessageRow.id).in_(ids)).order_by(col(MessageRow.id))
        )
        doubt(first, "an attempt ended")
        second.status = MessageStatus.DELIVERED
        session.add_all([first, second])
    await settle(database, verdict(broadcast, MessageStatus.SENT), broadcast, None)
    await settle(database, verdict(broadcast, MessageStatus.SENT), broadcast, ids)
    assert [row.status for row in await found(database, ids)] == ["sent", "delivered", "sent"]


async def test_a_second_handover_keeps_what_came_of_the_first(database: Database) -> None:
    broadcast, ids = await sending(database, handovers=2, attempts=[{"at": "then", "outcome": "ready"}])
    await settle(database, verdict(broadcast, MessageStatus.SENT), broadcast, ids)
    for row in await found(database, ids):
        assert [attempt["outcome"] for attempt in row.attempts] == ["ready", "sent"]


async def test_who_was_decided_on_meanwhile_is_not_decided_on_again(database: Database) -> None:
    ids = await contacts(database, 2)
    broadcast = await asked_for(database, ids)
    first, second = (broadcast_ledger.new_row(broadcast, each, None, status=MessageStatus.SENDING) for each in ids)
    async with database.write() as session:
        await broadcast_ledger.add_rows(session, [first])
    with pytest.raises(broadcast_ledger.DecidedMeanwhile):
        async with database.write() as session:
            await broadcast_ledger.add_rows(session, [{**first, "id": new_id()}, second])
    async with database.read() as session:
        kept = await session.exec(select(MessageRow.id).where(MessageRow.broadcast_id == broadcast.id))
        assert list(kept) == [first["id"]]


async def test_a_batch_reads_its_own_rows_alone_while_postgresql_has_no_figures_of_the_broadcast(
    postgres_url: str,
) -> None:
    """It takes a broadcast that it never counted for one of a single row, and any index of broadcasts for as good."""
    database = Database(postgres_url, ADDRESS_KEYS)
    ids = await contacts(database, 3000)
    earlier, broadcast = await asked_for(database, ids), await asked_for(database, ids)
    async with database.write() as session:
        rows = [broadcast_ledger.new_row(earlier, each, None, status=MessageStatus.SENT) for each in ids]
        await broadcast_ledger.add_rows(session, rows)
        await (await session.connection()).exec_driver_sql("ANALYZE")
    async with database.write() as session:
        rows = [broadcast_ledger.new_row(broadcast, each, None, status=MessageStatus.SENT) for each in ids[:2500]]
        await broadcast_ledger.add_rows(session, rows)
    async with database.read() as session:
        plans = await explained(session, lambda: broadcast_ledger.open_in_range(session, broadcast, 2000, 2100))
    await database.close()
    assert [read(plan) <= 100 for plan in plans] == [True], plans


async def explained(session: AsyncSession, work: Callable[[], Awaitable[object]]) -> list[dict[str, Any]]:
    """What PostgreSQL did for each statement of the work."""
    connection = await session.connection()
    said: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, ___: object, ____: object) -> None:
        said.append((statement, parameters))

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    await work()
    event.remove(connection.sync_connection, "before_cursor_execute", note)
    found = [
        await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        for statement, parameters in said
    ]
    return [each.scalar_one()[0]["Plan"] for each in found]


def read(plan: dict[str, Any]) -> int:
    """How many rows of the ledger were looked at."""
    rows = 0
    if plan.get("Relation Name", "").startswith("messages"):
        removed = (plan.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Index Recheck"))
        rows = (plan["Actual Rows"] + sum(removed)) * plan["Actual Loops"]
    return int(rows) + sum(map(read, plan.get("Plans", ())))
