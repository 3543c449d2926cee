"""Every store test runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domain.contacts import ContactProfile
from store.contacts import upsert_contact
from store.database import Database
from store.tables import ContactRow
from tests.address_keys import ADDRESS_KEYS


@pytest.fixture(params=["sqlite_url", "postgres_url"], ids=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, ADDRESS_KEYS)
    yield opened
    await opened.close()


@pytest.fixture
async def ada(database: Database) -> ContactRow:
    async with database.write() as session:
        return (await upsert_contact(session, ContactProfile(email="ada@example.com"), {}, "test")).contact
