"""Enrolling through the HTTP API, beside bare `client.start_workflow` calls of an empty workflow.

One process of each is asked by 16 callers at once, on the same Temporal server. What is compared is the way from the
first request until the last run has done its first task: a worker runs the empty workflow to its end, and lets our
contacts fall asleep. Beside that, ours keep contact, consent and enrollment in PostgreSQL, synced to disk twice.
`enroll_answers_vs_bare_starts` has no workers: what the API takes, beside what Temporal takes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import count

from temporalio.service import RPCError, RPCStatusCode

from bench.bare import TASK_QUEUE
from bench.http_load import ask_all, post
from bench.measuring import Results, alternating, percentile, ratio
from bench.stage import Stage, stage, until

ENROLLMENTS = 300
CALLERS = 16
_numbers = count()


async def measure() -> Results:
    async with stage() as on:
        api = await on.api()
        answers, starts = await alternating(lambda: ours(on, api), lambda: bare(on))
        one_by_one, started = await alternating(lambda: latency(api), lambda: bare_latency(on))
    async with stage() as on:
        api = await on.api()
        await on.worker()
        on.run(sys.executable, "-m", "bench.bare")
        begun, ended = await alternating(lambda: ours(on, api, lived=True), lambda: bare(on, lived=True))
    return {
        "enroll_throughput_vs_bare": ratio(begun, ended),
        "enroll_answers_vs_bare_starts": ratio(answers, starts),
        "enroll_latency_vs_bare": ratio(one_by_one, started),
    }


def _requests(many: int) -> list[bytes]:
    return [
        post("/v1/flows/sleeper/enrollments", json.dumps({"contact": _contact(next(_numbers))}).encode())
        for _ in range(many)
    ]


def _contact(number: int) -> dict[str, object]:
    return {"email": f"c{number}@example.com", "first_name": "Ada", "consent": {"newsletter": True}}


async def ours(on: Stage, api: str, *, lived: bool = False) -> float:
    """Enrollments a second; `lived`: until the first task of each run is done."""
    requests = _requests(ENROLLMENTS)
    began = time.perf_counter()
    answered = await ask_all(api, requests, CALLERS)
    if lived:
        await first_tasks_done(on, [json.loads(each.body)["workflow_id"] for each in answered])
    return ENROLLMENTS / (time.perf_counter() - began)


async def bare(on: Stage, *, lived: bool = False) -> float:
    """Starts a second; `lived`: until the first task of each run is done."""
    ids = [f"bare-{next(_numbers)}" for _ in range(ENROLLMENTS)]
    waiting = iter(ids)

    async def call() -> None:
        for each in waiting:
            await on.client.start_workflow("empty", id=each, task_queue=TASK_QUEUE)

    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    if lived:
        await first_tasks_done(on, ids)
    return ENROLLMENTS / (time.perf_counter() - began)


async def first_tasks_done(on: Stage, ids: list[str]) -> None:
    """Started, scheduled, begun and completed are four events."""

    async def done(workflow_id: str) -> bool:
        try:
            return (await on.client.get_workflow_handle(workflow_id).describe()).history_length >= 4
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:  # of a bulk enrollment, the last are still being started
                return False
            raise

    for workflow_id in ids:
        await until(lambda: done(workflow_id))  # noqa: B023 (awaited here)


async def latency(api: str) -> float:
    """Median milliseconds of one enrollment after another."""
    answered = await ask_all(api, _requests(50), 1)
    return 1000 * percentile([each.seconds for each in answered], 0.5)


async def bare_latency(on: Stage) -> float:
    """Median milliseconds of one start after another."""
    took = []
    for _ in range(50):
        began = time.perf_counter()
        await on.client.start_workflow("empty", id=f"bare-{next(_numbers)}", task_queue=TASK_QUEUE)
        took.append(time.perf_counter() - began)
    return 1000 * percentile(took, 0.5)
