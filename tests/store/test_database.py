from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import StatementError
from sqlmodel import SQLModel

from store.database import MIGRATIONS, Database, DatabaseNotReady, latest_revision
from store.migrating import migrate
from store.partitions import is_no_partition
from store.tables import ContactRow, EventRow
from tests.address_keys import ADDRESS_KEYS


async def test_a_migrated_database_is_current_and_migrating_again_changes_nothing(
    database: Database, database_url: str
) -> None:
    await database.require_current()
    assert (
        await asyncio.to_thread(migrate, database_url, ADDRESS_KEYS[0])
        == latest_revision()
        == await database.revision()
    )


async def test_migrations_make_the_tables_that_the_code_describes(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"include_name": is_no_partition})
        return list(compare_metadata(context, SQLModel.metadata))

    async with database.write() as session:
        assert await (await session.connection()).run_sync(differences) == []


def test_the_newest_migration_is_the_head_that_alembic_finds() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == latest_revision()


async def test_a_database_without_migrations_says_what_to_run(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}", ADDRESS_KEYS)
    with pytest.raises(DatabaseNotReady, match="run `cauce migrate`"):
        await empty.require_current()
    await empty.close()


def test_a_database_of_another_kind_is_refused_without_its_password() -> None:
    with pytest.raises(DatabaseNotReady, match="mysql") as refusal:
        Database("mysql://user:hush@localhost/x", ADDRESS_KEYS)
    assert "hush" not in str(refusal.value)


async def test_aware_datetimes_come_back_aware_in_utc(database: Database, ada: ContactRow) -> None:
    noon_in_santiago = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=-4)))
    async with database.write() as session:
        session.add(EventRow(id="e", contact_id=ada.id, name="visited", occurred_at=noon_in_santiago))
    async with database.read() as session:
        stored = (await session.get_one(EventRow, "e")).occurred_at
    assert stored == noon_in_santiago
    assert stored.tzinfo is UTC


async def test_naive_datetimes_are_refused(database: Database, ada: ContactRow) -> None:
    naive = datetime(2026, 7, 1)  # noqa: DTZ001
    with pytest.raises(StatementError, match="no time zone"):
        async with database.write() as session:
            session.add(EventRow(id="e", contact_id=ada.id, name="visited", occurred_at=naive))


async def test_concurrent_read_modify_writes_lose_nothing(database: Database, ada: ContactRow) -> None:
    async def count_up() -> None:
        async with database.write() as session:
            contact = await session.get_one(ContactRow, ada.id, with_for_update=True)
            count = contact.attributes.get("count", 0)
            assert isinstance(count, int)
            contact.attributes = {"count": count + 1}
            session.add(contact)

    await asyncio.gather(*(count_up() for _ in range(50)))
    async with database.read() as session:
        assert (await session.get_one(ContactRow, ada.id)).attributes == {"count": 50}


async def test_a_block_that_raises_changes_nothing(database: Database, ada: ContactRow) -> None:
    async def rename_and_fail() -> None:
        async with database.write() as session:
            (await session.get_one(ContactRow, ada.id)).first_name = "Augusta"
            await session.flush()
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await rename_and_fail()
    async with database.read() as session:
        assert (await session.get_one(ContactRow, ada.id)).first_name == ""


async def test_writers_that_are_given_up_leave_the_database_to_others(database: Database, ada: ContactRow) -> None:
    async def rename() -> None:
        async with database.write() as session:
            (await session.get_one(ContactRow, ada.id)).first_name = "Augusta"

    given_up: list[object] = []
    for reads in range(20):
        writers = [asyncio.create_task(rename()) for _ in range(6)]
        # So they are given up at many moments: as they wait for the lock, as they have it, as they let go of it.
        for _ in range(reads):
            async with database.read() as reading:
                await reading.get_one(ContactRow, ada.id)
        for writer in writers:
            writer.cancel()
        # Remembered, as a log or a gathering task may remember them.
        given_up += await asyncio.gather(*writers, return_exceptions=True)
        await rename()
    assert any(isinstance(each, asyncio.CancelledError) for each in given_up)


async def test_a_reader_does_not_wait_for_a_writer(database: Database, ada: ContactRow) -> None:
    async with database.write() as writing:
        (await writing.get_one(ContactRow, ada.id)).first_name = "Augusta"
        await writing.flush()
        async with database.read() as reading:
            assert (await reading.get_one(ContactRow, ada.id)).first_name == ""


async def test_sqlite_keeps_what_was_committed_through_a_power_cut(sqlite_url: str) -> None:
    database = Database(sqlite_url, ADDRESS_KEYS)
    async with database.read() as session:
        connection = await session.connection()
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar() == "wal"
        assert (await connection.execute(text("PRAGMA synchronous"))).scalar() == 2
        assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar() == 1
    await database.close()
