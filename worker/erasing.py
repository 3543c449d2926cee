"""The worker of erasures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from activities.erasure import SETTLING, ErasureActivities
from domain.erasure import ERASURES_TASK_QUEUE
from domain.flows import FlowType
from runtime.contact_runs import TemporalRuns
from runtime.dispatch import Dispatcher
from runtime.erasers import make_erasers
from runtime.settings import Settings
from store.database import Database
from worker.private_failures import PrivateFailures
from worker.serving import UNVERSIONED
from workflows.chores.erase_contact import EraseContact
from workflows.discovery import workflow_runner

ERASING_GRACE = timedelta(seconds=10)
"""At a shutdown: a part that is cut off is done by the next attempt."""


@asynccontextmanager
async def erasing(
    client: Client,
    settings: Settings,
    database: Database,
    flows: Mapping[str, FlowType],
    *,
    settling: timedelta = SETTLING,
) -> AsyncIterator[None]:
    """Erase contacts inside the block. `settling` as for `ErasureActivities`. Raises: SettingsError."""
    erasers = make_erasers(settings)
    runs = TemporalRuns(client, database, Dispatcher(database, client, flows), flows)
    erasure = ErasureActivities(database, runs, erasers, settling=settling)
    worker = Worker(
        client,
        task_queue=ERASURES_TASK_QUEUE,
        workflows=[EraseContact],
        activities=[
            erasure.leave_flows,
            erasure.ask_providers,
            erasure.delete_rows,
            erasure.delete_histories,
            erasure.finish,
        ],
        workflow_runner=workflow_runner(),
        build_id=UNVERSIONED,
        graceful_shutdown_timeout=ERASING_GRACE,
        interceptors=[PrivateFailures()],
    )
    try:
        async with worker:
            yield
    finally:
        for eraser in erasers.values():
            await asyncio.to_thread(eraser.close)
