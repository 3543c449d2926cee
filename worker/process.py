"""The process that runs workflows and activities."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from activities.email import EmailActivities
from activities.enrollments import EnrollmentActivities
from domain.flows import EMAIL_TASK_QUEUE, WORKFLOW_TASK_QUEUE
from domain.messages import Mailer
from emails.templates import Templates
from runtime.dispatch import Dispatcher
from runtime.links import Links
from runtime.providers import make_mailer
from runtime.settings import Settings
from runtime.temporal import connect, metrics_runtime, temporal_address, worker_identity
from store.database import Database
from worker.private_failures import PrivateFailures
from worker.sweeping import keep_sweeping
from workflows.discovery import FlowClass, discover_flows, workflow_runner

logger = logging.getLogger(__name__)

EMAIL_GRACE = timedelta(seconds=45)
"""At a shutdown: longer than a provider's answer takes, so that no send is cut in two."""
WORKFLOW_GRACE = timedelta(seconds=10)
"""At a shutdown, before the email worker's: for outcomes that are being recorded."""
STICKY_PATIENCE = timedelta(seconds=5)
"""How long a workflow task waits for the worker that has the workflow in memory, before any other takes it."""


async def run_worker(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then finish what is under way.

    Raises: DatabaseNotReady, TemplateError, SettingsError before any work is taken.
    """
    flows = discover_flows()
    templates = Templates.load()
    for name, flow in flows.items():
        templates.check(name, flow.settings_model)
    database = Database(settings.resolved_database_url())
    mailer = make_mailer(settings)
    try:
        await database.require_current()
        client = await _connect(settings, stop)
        if client is None:
            return
        async with working(client, settings, database, mailer, templates, flows):
            logger.info("worker is ready", extra={"flows": list(flows), "mailer": mailer.name})
            dispatcher = Dispatcher(database, client, {name: flow.about for name, flow in flows.items()})
            await keep_sweeping(dispatcher, timedelta(seconds=settings.sweep_seconds), stop)
            logger.info("worker is stopping")
    finally:
        mailer.close()
        await database.close()


@asynccontextmanager
async def working(
    client: Client,
    settings: Settings,
    database: Database,
    mailer: Mailer,
    templates: Templates,
    flows: Mapping[str, FlowClass],
) -> AsyncIterator[None]:
    """Poll both task queues inside the block: workflows, and email at its own rate and in threads of its own."""
    threads = ThreadPoolExecutor(settings.email_threads, thread_name_prefix="email")
    email = EmailActivities(
        database=database,
        mailer=mailer,
        templates=templates,
        sender=settings.sender,
        settings_models={name: flow.settings_model for name, flow in flows.items()},
        unsubscribe_url=Links(str(settings.public_url), settings.resolved_secret_key()).unsubscribe_url,
        threads=threads,
    )
    enrollments = EnrollmentActivities(database)
    async with AsyncExitStack() as stack:
        stack.callback(threads.shutdown)
        await stack.enter_async_context(
            Worker(
                client,
                task_queue=EMAIL_TASK_QUEUE,
                activities=[email.send],
                max_concurrent_activities=settings.email_threads,
                max_task_queue_activities_per_second=settings.email_rate,
                graceful_shutdown_timeout=EMAIL_GRACE,
                interceptors=[PrivateFailures()],
            )
        )
        await stack.enter_async_context(
            Worker(
                client,
                task_queue=WORKFLOW_TASK_QUEUE,
                workflows=list(flows.values()),
                activities=[enrollments.end],
                workflow_runner=workflow_runner(),
                sticky_queue_schedule_to_start_timeout=STICKY_PATIENCE,
                graceful_shutdown_timeout=WORKFLOW_GRACE,
                interceptors=[PrivateFailures()],
            )
        )
        yield


async def _connect(settings: Settings, stop: asyncio.Event) -> Client | None:
    """Wait for Temporal as long as it takes; None if told to stop meanwhile."""
    runtime = metrics_runtime(settings.worker_metrics) if settings.worker_metrics else None
    while not stop.is_set():
        try:
            return await connect(identity=worker_identity(os.getpid()), runtime=runtime)
        except RuntimeError as error:
            logger.warning("Temporal at %s is not reachable yet: %s", temporal_address(), error)
            try:
                await asyncio.wait_for(stop.wait(), timeout=2)
            except TimeoutError:
                continue
    return None
