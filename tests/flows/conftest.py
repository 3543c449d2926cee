from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from runtime.temporal import CONTACT_ID
from store.database import Database
from tests.conftest import SCRIPTS
from tests.flows.journey import JourneyStarter, starter


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """Temporal's test server, whose time passes when a test says so.

    One for each test: a run that another test left open would hold up the clock.
    """
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(SCRIPTS / "temporal-test-server"), data_converter=pydantic_data_converter
    ) as environment:
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=environment.client.namespace,
                search_attributes={CONTACT_ID.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD},
            )
        )
        yield environment


@pytest.fixture
def journey(skipping: WorkflowEnvironment, database: Database, tmp_path: Path) -> JourneyStarter:
    return starter(skipping, database, tmp_path)
