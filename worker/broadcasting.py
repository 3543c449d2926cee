"""The worker of broadcasts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from activities.batch_composing import ContactLinks
from activities.batch_reserving import Reserving
from activities.broadcasts import BroadcastActivities
from activities.outgoing import Outgoing
from domain.broadcasts import BROADCASTS_TASK_QUEUE
from emails.templates import Templates
from runtime.links import Links
from runtime.settings import Settings
from store.database import Database
from worker.private_failures import PrivateFailures
from worker.serving import SENDING_GRACE, UNVERSIONED
from workflows.discovery import workflow_runner
from workflows.lists.broadcast import BroadcastWorkflow

BATCHES_AT_ONCE = 8
"""Of all broadcasts, by one worker: each has up to a thousand messages in memory."""
STICKY_PATIENCE = timedelta(seconds=2)
"""How long what comes next waits for a worker that may have been killed, before any other takes it."""


@asynccontextmanager
async def broadcasting(
    client: Client, settings: Settings, database: Database, outgoing: Outgoing, templates: Templates
) -> AsyncIterator[None]:
    """Conduct broadcasts inside the block, their emails in threads of their own."""
    threads = ThreadPoolExecutor(settings.email_threads, thread_name_prefix="broadcast")
    links = Links(str(settings.public_url), settings.secret_keys())
    broadcasts = BroadcastActivities(
        database=database,
        outgoing=outgoing,
        reserving=Reserving(
            outgoing,
            ContactLinks(links.unsubscribe_url, {"confirm_url": links.confirm_url}),
            settings.sending_rules,
        ),
        templates=templates,
        sender=settings.sender,
        threads=threads,
        per_second=settings.email_rate,
    )
    worker = Worker(
        client,
        task_queue=BROADCASTS_TASK_QUEUE,
        workflows=[BroadcastWorkflow],
        activities=[broadcasts.begin, broadcasts.send_batch, broadcasts.choose_winner, broadcasts.end],
        workflow_runner=workflow_runner(),
        build_id=UNVERSIONED,
        max_concurrent_activities=BATCHES_AT_ONCE,
        sticky_queue_schedule_to_start_timeout=STICKY_PATIENCE,
        graceful_shutdown_timeout=SENDING_GRACE,
        interceptors=[PrivateFailures()],
    )
    try:
        async with worker:
            yield
    finally:
        threads.shutdown()
