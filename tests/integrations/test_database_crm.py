"""Our own database keeps what a CRM owes, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domain.crm import Crm
from store.crm import DatabaseCrm
from store.database import Database
from tests.address_keys import ADDRESS_KEYS
from tests.integrations.crm_contract import CrmContract


class TestDatabaseCrm(CrmContract):
    @pytest.fixture(params=["sqlite_url", "postgres_url"], ids=["sqlite", "postgresql"])
    async def database(self, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
        opened = Database(str(request.getfixturevalue(request.param)), ADDRESS_KEYS)
        yield opened
        await opened.close()

    @pytest.fixture
    def crm(self, database: Database) -> Crm:
        return DatabaseCrm(database)
