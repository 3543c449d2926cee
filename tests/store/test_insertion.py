"""Rows that are inserted together are what they would be one by one, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import JsonValue
from sqlalchemy.exc import StatementError
from sqlmodel import col, select

from store.database import Database
from store.insertion import insert_many, insert_those_new
from store.ledger_tables import DeliveryEventRow

AT = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


def row(event_id: str, raw: JsonValue) -> dict[str, Any]:
    told = {"id": event_id, "provider": "post", "message_id": None, "kind": "junk", "occurred_at": AT}
    return {**told, "received_at": AT, "reason": None, "automated": None, "url": None, "raw": raw}


@pytest.mark.parametrize("raw", [None, "ñ", 7, [], ["a", None], {"a": {"b": None}, "quote": "'\""}], ids=str)
async def test_values_are_kept_as_they_are_one_by_one(database: Database, raw: JsonValue) -> None:
    async with database.write() as session:
        await insert_those_new(session, DeliveryEventRow, [row("alone", raw)])
        assert await insert_many(session, DeliveryEventRow, [row("first", raw), row("second", raw)]) == 2
    async with database.read() as session:
        rows = list(await session.exec(select(DeliveryEventRow).order_by(col(DeliveryEventRow.id))))
    assert [each.id for each in rows] == ["alone", "first", "second"]
    assert all((each.raw, each.occurred_at, each.url) == (raw, AT, None) for each in rows)


async def test_those_that_are_there_stay_and_are_not_answered(database: Database) -> None:
    async with database.write() as session:
        await insert_those_new(session, DeliveryEventRow, [row("known", "before")])
        rows = [row("known", "after"), row("new", "after")]
        assert await insert_those_new(session, DeliveryEventRow, rows) == {"new"}
        assert await insert_many(session, DeliveryEventRow, rows) == 0
    async with database.read() as session:
        assert (
            await session.exec(select(DeliveryEventRow.raw).where(DeliveryEventRow.id == "known"))
        ).one() == "before"


@pytest.mark.parametrize("many", [1, 2])
async def test_a_moment_without_a_time_zone_is_refused(database: Database, many: int) -> None:
    rows = [{**row(f"{number}", "raw"), "occurred_at": AT.replace(tzinfo=None)} for number in range(many)]
    with pytest.raises((StatementError, ValueError), match="no time zone"):
        async with database.write() as session:
            await insert_many(session, DeliveryEventRow, rows)


async def test_rows_that_name_different_columns_are_refused(database: Database) -> None:
    other = row("other", "raw")
    del other["url"]
    with pytest.raises((StatementError, ValueError)):
        async with database.write() as session:
            await insert_many(session, DeliveryEventRow, [row("one", "raw"), other])
