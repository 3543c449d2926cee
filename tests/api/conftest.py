"""The API on a database of the test's own, and on a Temporal server where no worker ever looks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.outgoing import Outgoing
from emails.templates import Templates
from integrations.outbox.mailer import OutboxMailer
from runtime.settings import Settings
from tests.api.caller import Caller, calling, client_of_nobody
from tests.temporal_server import temporal_server
from worker.process import working
from workflows.discovery import discover_flows


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    """A server for the API's tests alone: the runs that they leave open must not reach another test's worker."""
    async with await temporal_server() as environment:
        yield environment


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(getattr(request, "param", "sqlite_url")))


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path / "data", "database_url": database_url})


@pytest.fixture
async def api(settings: Settings, temporal: WorkflowEnvironment) -> AsyncIterator[Caller]:
    async with calling(settings, temporal.client) as caller:
        yield caller


@pytest.fixture
async def api_with_worker(settings: Settings) -> AsyncIterator[Caller]:
    """Everything at work: a Temporal server of the test's own, and a worker that keeps emails in the outbox."""
    async with (
        await temporal_server() as own_temporal,
        calling(settings, own_temporal.client) as caller,
        working(
            own_temporal.client,
            settings,
            caller.services.database,
            Outgoing(OutboxMailer(settings.outbox_folder)),
            Templates.load(),
            discover_flows(),
        ),
    ):
        yield caller


@pytest.fixture
async def api_without_temporal(settings: Settings, unused_port: Callable[[], int]) -> AsyncIterator[Caller]:
    async with calling(settings, await client_of_nobody(unused_port())) as caller:
        yield caller
