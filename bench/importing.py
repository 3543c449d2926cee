"""Importing contacts from a file: lines a second and the API's memory, on SQLite or on PostgreSQL.

`python -m bench.importing [rows] [database URL]`; without a URL, a SQLite file of its own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil

from bench.contact_file import COLUMNS, contact_file
from bench.measuring import Results
from bench.stage import SECRET, until
from cli.ports import LOOPBACK, unused_port
from store.database import migrate

ROWS = 100_000
WARM_UP = 5_000
_SAMPLE_SECONDS = 0.05


async def import_rows(api: str, process: psutil.Process, rows: int, *, plan: str = "team") -> tuple[float, int]:
    """Import a file through the API that this process serves. Returns: seconds, and its greatest memory, in bytes."""
    peak = process.memory_info().rss
    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=api, timeout=None) as http:  # noqa: S113 (as long as it takes)
        sending = asyncio.create_task(
            http.post(
                f"/v1/contacts/import?{'&'.join(COLUMNS)}",
                content=_in_pieces(contact_file(rows, plan=plan)),
                headers={"Content-Type": "text/csv"},
            )
        )
        while not sending.done():
            await asyncio.wait([sending], timeout=_SAMPLE_SECONDS)
            peak = max(peak, process.memory_info().rss)
        report = sending.result().json()
    assert report["created"] + report["updated"] + report["unchanged"] == rows, report
    return time.perf_counter() - began, peak


async def measure_importing(api: str, process: psutil.Process, rows: int = ROWS) -> Results:
    """What an API that has just started comes to: new contacts, all of them changed, none of them changed."""
    await import_rows(api, process, WARM_UP, plan="free")
    before = process.memory_info().rss
    new, peak_new = await import_rows(api, process, rows)
    changed, peak_changed = await import_rows(api, process, rows, plan="pro")
    unchanged, peak_unchanged = await import_rows(api, process, rows, plan="pro")
    return {
        "import_new_per_second": rows / new,
        "import_changed_per_second": rows / changed,
        "import_unchanged_per_second": rows / unchanged,
        "import_memory_before_mb": before / 1e6,
        "import_memory_peak_mb": max(peak_new, peak_changed, peak_unchanged) / 1e6,
    }


async def _in_pieces(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def main(rows: int, url: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database_url = url or f"sqlite:///{Path(folder) / 'cauce.db'}"
        await asyncio.to_thread(migrate, database_url, SECRET)
        port = unused_port()
        environment = {
            "CAUCE_DATA_DIR": folder,
            "CAUCE_DATABASE_URL": database_url,
            "CAUCE_SECRET_KEY": SECRET,
            "TEMPORAL_ADDRESS": f"{LOOPBACK}:{unused_port()}",
        }
        command = [sys.executable, "-m", "cli.main", "api", f"--port={port}"]
        serving = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
        try:
            await until(lambda: _answers(port))
            api = f"http://{LOOPBACK}:{port}"
            for name, figure in (await measure_importing(api, psutil.Process(serving.pid), rows)).items():
                print(f"{name:32} {figure:10,.0f}")
        finally:
            serving.terminate()
            serving.wait()


async def _answers(port: int) -> bool:
    try:
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://{LOOPBACK}:{port}/healthz")).is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else ROWS, sys.argv[2] if sys.argv[2:] else None))
