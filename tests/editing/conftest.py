from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.database import Database
from tests.editing.fleet import Fleet
from tests.temporal_server import temporal_server


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    """On a server of its own: its deployments are the test's."""
    async with await temporal_server() as environment:
        yield Fleet(environment.client, database, tmp_path)
