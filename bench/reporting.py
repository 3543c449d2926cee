"""The report of a flow with a million rows in the ledger, as the HTTP API answers it: milliseconds, on PostgreSQL."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from statistics import median

import httpx

from bench.measuring import REPEATS, Results
from bench.report_rows import FLOW, fill
from bench.stage import stage
from store.tables import now

ROWS = 1_000_000


async def measure() -> Results:
    async with stage() as on:
        await fill(on.database, ROWS)
        api = await on.api()
        month_ago = (now() - timedelta(days=30)).date()
        async with httpx.AsyncClient(base_url=api, timeout=60) as http:
            return {
                "report_ms": await milliseconds(http, f"/v1/flows/{FLOW}/report"),
                "report_ms_of_a_month": await milliseconds(http, f"/v1/flows/{FLOW}/report?from={month_ago}"),
            }


async def milliseconds(http: httpx.AsyncClient, path: str) -> float:
    """The median of some answers, after a first one."""
    took = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        answer = await http.get(path)
        took.append(1000 * (time.perf_counter() - began))
        assert answer.is_success, json.dumps(answer.json())
    return median(took[1:])
