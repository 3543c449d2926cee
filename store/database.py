"""One database, SQLite or PostgreSQL, behind two doors: `read` and `write`."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, inspect, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
MIGRATIONS = Path(__file__).parent / "migrations"
POOL_SIZE = 16
"""PostgreSQL connections of a process, at the most."""


class DatabaseNotReady(Exception):
    """The database cannot be used as it is; the text says what to do. No credentials are in it."""


class Database:
    """Sessions on one database. SQLite writes take the lock at once, so that two of them never lose an update."""

    def __init__(self, url: str, address_keys: Sequence[str]) -> None:
        """`url`: `sqlite:///path` or `postgresql://…`. Raises: DatabaseNotReady for any other.

        `address_keys` hash addresses that are not written to: the first does, those after it did so before.
        """
        self.url = parse_url(url)
        self._info = {"address_keys": tuple(address_keys)}
        self._engine = _engine(self.url)
        self._reader = self._engine.execution_options(cauce_read_only=True)

    def read(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session that sees one state of the database and changes nothing."""
        return _session(self._reader, self._info)

    def write(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A transaction: committed at the end of the block, rolled back if the block raises."""
        return _session(self._engine, self._info)

    async def revision(self) -> str | None:
        """The migration that the database is at; None if it has none."""
        async with self._reader.connect() as connection:
            return await connection.run_sync(_revision)

    async def require_current(self) -> None:
        """Raises: DatabaseNotReady unless every migration has run."""
        found, wanted = await self.revision(), latest_revision()
        if found != wanted:
            raise DatabaseNotReady(
                f"the database is at migration {found or 'none'}, this code needs {wanted}: run `cauce migrate`"
            )

    async def forget_deleted(self) -> bool:
        """Leave no copy of what was deleted in SQLite's write-ahead log; answer whether that could be done now.

        PostgreSQL overwrites what was deleted by itself, by its vacuum.
        """
        if self.url.get_backend_name() != "sqlite":
            return True
        async with self._engine.connect() as connection:
            # Past SQLAlchemy, which would begin a transaction first: there is no checkpoint within one.
            driver: Any = (await connection.get_raw_connection()).driver_connection
            async with driver.execute("PRAGMA wal_checkpoint(TRUNCATE)") as cursor:
                (busy, *_) = await cursor.fetchone()
        return not busy

    async def close(self) -> None:
        await self._engine.dispose()


def latest_revision() -> str:
    """The newest migration that the code has."""
    # By the names of their files: Alembic takes half a second to import, of each process that only asks.
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def parse_url(url: str) -> URL:
    """With the driver that we use. Raises: DatabaseNotReady."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseNotReady(
            "CAUCE_DATABASE_URL is not a URL: expected postgresql://user:password@host/name or sqlite:///path"
        ) from None
    driver = _DRIVERS.get(parsed.get_backend_name())
    if driver is None:
        raise DatabaseNotReady(f"CAUCE_DATABASE_URL names {parsed.drivername}: expected postgresql:// or sqlite:///")
    return parsed.set(drivername=driver)


def _engine(url: URL) -> AsyncEngine:
    # Parameters stay out of errors: they hold personal data, and errors reach logs and Temporal.
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, hide_parameters=True)
        prepare_sqlite(engine.sync_engine)
        return engine
    # Checked before use: a database that was restarted costs one ping, not one failed request. No overflow: it would be
    # closed after each use, and to connect takes PostgreSQL longer than most of what is asked of it.
    return create_async_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=POOL_SIZE,
        max_overflow=0,
        connect_args={"connect_timeout": 5},
    )


def prepare_sqlite(engine: Any, *, foreign_keys: bool = True) -> None:
    """Have each connection of an engine configured as ours are."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are ours to begin, see _begin
        # What is deleted is overwritten with zeros: else it would lie in the file until its place is needed.
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
            "busy_timeout=15000",
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("cauce_read_only")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


@asynccontextmanager
async def _session(engine: AsyncEngine, info: dict[Any, Any]) -> AsyncIterator[AsyncSession]:
    try:
        async with AsyncSession(engine, expire_on_commit=False, info=info) as session, session.begin():
            yield session
    except asyncio.CancelledError as cancelled:
        # Its frames hold a cursor of the connection that was given up: SQLite would stay locked as long as they live.
        traceback.clear_frames(cancelled.__traceback__)
        raise
