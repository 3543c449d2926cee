"""What is held of a contact: found in every table, exported whole, and deleted without a trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic_core import to_json
from sqlmodel import SQLModel, select

from domain.suppressions import SuppressionReason
from store.database import Database
from store.personal_data import HOLDINGS, delete_all, outliving, rows
from store.suppressions import suppressions_of
from store.tables import SuppressionRow
from tests.address_keys import ADDRESS_KEYS
from tests.store.canary import Canary, everything

OUTLIVING = {"suppressions", "erasures"}
OF_THE_TEAM = {"people", "lead_rules", "rule_shares", "providers"}
OF_MANY = {
    "segments",
    "watched_segments",
    "triggers",
    "imports",
    "import_faults",
    "bulk_enrollments",
    "broadcasts",
    "schedules",
}
"""Tables that hold nothing of any contact."""
REFERENCES = ("contact_id", "enrollment_id", "message_id", "approval_id", "question_id", "target", "email_hash")


@pytest.fixture
async def ada(database: Database) -> Canary:
    return await kept(database, "ada")


@pytest.fixture
async def bo(database: Database) -> Canary:
    return await kept(database, "bo")


async def kept(database: Database, name: str) -> Canary:
    canary = Canary(name)
    async with database.write() as session:
        await canary.insert(session)
    return canary


def test_every_table_is_known_to_hold_something_of_contacts_or_nothing() -> None:
    holding = {holding.name for holding in HOLDINGS}
    known = holding | OUTLIVING | OF_THE_TEAM | OF_MANY
    assert set(SQLModel.metadata.tables) == known, "store/personal_data.py: add the new table to HOLDINGS, or here"
    for name in OF_THE_TEAM | OF_MANY:
        columns = set(SQLModel.metadata.tables[name].columns.keys())
        assert not columns & set(REFERENCES), f"{name} refers to contacts: store/personal_data.py has to hold it"


async def test_deleting_leaves_nothing_of_the_contact_and_everything_of_others(
    database: Database, ada: Canary, bo: Canary
) -> None:
    async with database.read() as session:
        before = await everything(session)
    assert all(mark in str(before) for mark in (*ada.marks, *bo.marks))
    async with database.write() as session:
        counts = await delete_all(session, ada.contact)
    async with database.read() as session:
        after = await everything(session)
    assert [mark for mark in ada.marks if mark in str(after)] == []
    assert {mark for mark in bo.marks if mark not in str(after)} == set()
    deleted = {name: len(before[name]) - len(after[name]) for name in counts}
    assert counts == deleted
    assert counts["answers"] == 3
    assert counts["holds"] == 2
    assert all(counts.values())


async def test_an_address_stays_suppressed_without_what_was_noted_with_it(
    database: Database, ada: Canary, bo: Canary
) -> None:
    async with database.write() as session:
        await delete_all(session, ada.contact)
        assert await suppressions_of(session, ada.contact.email) == {SuppressionReason.MANUAL}
        notes = list(await session.exec(select(SuppressionRow.note)))
    assert sorted(notes, key=str) == sorted([None, next(mark for mark in bo.marks if "note" in mark)], key=str)


async def test_an_export_shows_everything_of_the_contact_and_nothing_of_others(
    database: Database, ada: Canary, bo: Canary
) -> None:
    shown = {}
    async with database.read() as session:
        for holding in (*HOLDINGS, *outliving(session, ada.contact)):
            shown[holding.name] = [row async for row in rows(session, holding, ada.contact)]
    text = to_json(shown).decode()
    assert [mark for mark in ada.marks if mark not in text] == []
    assert [mark for mark in bo.marks if mark in text] == []
    for holding in HOLDINGS:
        assert set(shown[holding.name][0]) == set(holding.table.model_fields)


async def test_what_is_deleted_lies_in_no_corner_of_sqlites_files(sqlite_url: str) -> None:
    database = Database(sqlite_url, ADDRESS_KEYS)
    path = Path(sqlite_url.removeprefix("sqlite:///"))

    def found(marks: list[str]) -> list[str]:
        held = b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))
        return [mark for mark in marks if mark.encode() in held]

    ada, bo = await kept(database, "ada"), await kept(database, "bo")
    assert await database.forget_deleted()
    assert found(ada.marks) == ada.marks
    async with database.write() as session:
        await delete_all(session, ada.contact)
    assert await database.forget_deleted()
    assert found(ada.marks) == []
    assert found(bo.marks) == bo.marks
    await database.close()
