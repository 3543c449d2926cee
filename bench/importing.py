"""Importing a file of 100,000 contacts through the API: lines a second, and the memory of its process.

`import_*_per_second`: new contacts, all of them changed, none of them changed. `import_100000_peak_mb` stands beside
what the process had before, when it had imported some thousands: it does not grow with the file.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator

import httpx

from bench.contact_file import COLUMNS, contact_file
from bench.measuring import Results
from bench.stage import peak_memory, stage

ROWS = 100_000
WARM_UP = 5_000


async def measure() -> Results:
    async with stage() as on:
        api = await on.api()
        await import_rows(api, WARM_UP, plan="free")
        before = on.serving.memory_info().rss / 1e6
        async with peak_memory(on.serving) as peak:
            new, changed, unchanged = [await _rate(api, plan) for plan in ("team", "pro", "pro")]
            return {
                "import_new_per_second": new,
                "import_changed_per_second": changed,
                "import_unchanged_per_second": unchanged,
                "import_100000_peak_mb": peak(),
                "import_100000_before_mb": before,
            }


async def _rate(api: str, plan: str) -> float:
    began = time.perf_counter()
    await import_rows(api, ROWS, plan=plan)
    return ROWS / (time.perf_counter() - began)


async def import_rows(api: str, rows: int, *, plan: str = "team") -> str:
    """Import a file. Returns: the import's id."""
    async with httpx.AsyncClient(base_url=api, timeout=None) as http:  # noqa: S113 (as long as it takes)
        answer = await http.post(
            f"/v1/contacts/import?{'&'.join(COLUMNS)}",
            content=_in_pieces(contact_file(rows, plan=plan)),
            headers={"Content-Type": "text/csv"},
        )
    report = answer.json()
    assert report["created"] + report["updated"] + report["unchanged"] == rows, report
    return str(report["id"])


async def _in_pieces(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
