"""The process that runs workflows and activities."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.enrollments import EnrollmentActivities
from activities.outgoing import Outgoing
from domain.broadcasts import FLOW as BROADCAST
from domain.flows import FlowSettings, FlowType, flow_task_queue
from emails.templates import Templates
from emails.topics import Topics
from runtime.databases import open_database
from runtime.deployments import Deployments, NotPolled
from runtime.dispatch import Dispatcher
from runtime.providers import make_crm
from runtime.settings import Settings
from runtime.sweep import Sweep
from runtime.temporal import connect, metrics_runtime, temporal_address, worker_identity
from store.database import Database
from worker.broadcasting import broadcasting
from worker.erasing import erasing
from worker.listing import listing
from worker.outgoing import make_outgoing
from worker.private_failures import PrivateFailures
from worker.retaining import require_enough, retaining
from worker.scheduling import scheduling
from worker.serving import UNVERSIONED, serving
from worker.sweeping import keep_mirror_told, keep_sweeping
from worker.together import at_work
from worker.watching import watching
from workflows.builds import build_id
from workflows.discovery import FlowClass, discover_flows, workflow_runner

logger = logging.getLogger(__name__)

_AGAIN = timedelta(milliseconds=500)

WORKFLOW_GRACE = timedelta(seconds=10)
"""At a shutdown: for outcomes that are being recorded."""
STICKY_PATIENCE = timedelta(seconds=5)
"""How long a workflow task waits for the worker that has the workflow in memory, before any other takes it."""


async def run_worker(settings: Settings, stop: asyncio.Event, only: Collection[str] = ()) -> None:
    """Work until `stop` is set, then finish what is under way.

    `only` names flows to conduct and nothing else: no email, no sweep. So code of old keeps its contacts.
    Raises: DatabaseNotReady, TemplateError, TopicsError, SettingsError before any work is taken.
    """
    flows = discover_flows()
    templates = Templates.load()
    for name, flow in flows.items():
        templates.check(name, flow.settings_model)
    templates.check(BROADCAST, FlowSettings)
    templates.check_people()
    Topics.load()
    about = {name: flow.about for name, flow in flows.items()}
    require_enough(settings, about)
    database = open_database(settings)
    outgoing = make_outgoing(settings)
    try:
        if not only:  # earlier code works on a database that is ahead of it, as any does while versions roll
            await database.require_current()
        client = await _connect(settings, stop)
        if client is None:
            return
        if only:
            async with conducting(client, database, {name: flows[name] for name in only}, known=about):
                logger.info("worker is ready", extra={"only": list(only)})
                await stop.wait()
            return
        async with (
            working(client, settings, database, outgoing, templates, flows),
            scheduling(client, database, about),
            listing(client, database, about),
            broadcasting(client, settings, database, outgoing, templates),
            erasing(client, settings, database, about),
            retaining(settings, database),
            watching(client, settings, database, about),
        ):
            logger.info("worker is ready", extra={"flows": list(flows), "mailers": list(outgoing.mailers)})
            sweep = Sweep(Dispatcher(database, client, about))
            pause = timedelta(seconds=settings.sweep_seconds)
            await keep_sweeping(sweep, pause, stop, doubt_window=settings.doubt_window)
            logger.info("worker is stopping")
    finally:
        outgoing.close()
        await database.close()


@asynccontextmanager
async def working(
    client: Client,
    settings: Settings,
    database: Database,
    outgoing: Outgoing,
    templates: Templates,
    flows: Mapping[str, FlowClass],
    *,
    versioned: bool = True,
    known: Mapping[str, FlowType] | None = None,
) -> AsyncIterator[None]:
    """All that a worker does inside the block, except sweeping. `known` as for `conducting`."""
    crm = make_crm(settings, database)
    mirroring = asyncio.create_task(keep_mirror_told(crm))
    try:
        async with (
            serving(client, settings, database, outgoing, crm, templates, flows, known=known),
            conducting(client, database, flows, versioned=versioned, known=known),
        ):
            yield
    finally:
        mirroring.cancel()
        await crm.close()


@asynccontextmanager
async def conducting(
    client: Client,
    database: Database,
    flows: Mapping[str, FlowClass],
    *,
    versioned: bool = True,
    known: Mapping[str, FlowType] | None = None,
) -> AsyncIterator[None]:
    """Run the workflows of flows inside the block, each flow as a version of its own deployment.

    A flow that has no current version yet gets this one. `versioned` is false for a server that knows no versions, as
    Temporal's time-skipping one. `known` are flows that contacts may be handed over to, beside these.
    """
    about = {**(known or {}), **{name: flow.about for name, flow in flows.items()}}
    enrollments = EnrollmentActivities(database, about)
    workers = [
        Worker(
            client,
            task_queue=flow_task_queue(name),
            workflows=[flow],
            activities=[enrollments.end],
            workflow_runner=workflow_runner(),
            deployment_config=_version(name, flow) if versioned else None,
            build_id=None if versioned else UNVERSIONED,
            no_remote_activities=True,
            sticky_queue_schedule_to_start_timeout=STICKY_PATIENCE,
            graceful_shutdown_timeout=WORKFLOW_GRACE,
            interceptors=[PrivateFailures()],
        )
        for name, flow in flows.items()
    ]
    async with at_work(workers), AsyncExitStack() as stack:
        if versioned:
            beginning = asyncio.create_task(_begin_deployments(Deployments(client), flows))
            stack.callback(beginning.cancel)
        yield


def _version(name: str, flow: FlowClass) -> WorkerDeploymentConfig:
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=flow_task_queue(name), build_id=build_id(flow)),
        use_worker_versioning=True,
        # A run never meets other code than it began on: it is moved to it with its memory, or finishes where it is.
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


async def _begin_deployments(deployments: Deployments, flows: Mapping[str, FlowClass]) -> None:
    """Make this version the current one where there is none yet: nobody is in the flow who could be moved."""
    waiting = {name: build_id(flow) for name, flow in flows.items()}
    while waiting:
        for name, build in list(waiting.items()):
            try:
                if (await deployments.of(name)).current is None:
                    await deployments.make_current(name, build)
                del waiting[name]
            except (NotPolled, RPCError) as error:
                logger.info("deployment not begun yet: %s", error)
        await asyncio.sleep(_AGAIN.total_seconds())


async def _connect(settings: Settings, stop: asyncio.Event) -> Client | None:
    """Wait for Temporal as long as it takes; None if told to stop meanwhile."""
    runtime = metrics_runtime(settings.worker_metrics) if settings.worker_metrics else None
    while not stop.is_set():
        try:
            return await connect(settings.encryption_keys, identity=worker_identity(os.getpid()), runtime=runtime)
        except RuntimeError as error:
            logger.warning("Temporal at %s is not reachable yet: %s", temporal_address(), error)
            try:
                await asyncio.wait_for(stop.wait(), timeout=2)
            except TimeoutError:
                continue
    return None
