"""One send after another, beside a loop that posts the same prepared bytes: what ledger, rules and rendering take.

`single_send_vs_raw_post`: messages a second, where the provider answers after as long as a real one is told to
(150 ms); `single_send_vs_raw_post_instant`: where it answers at once. Both have 20 threads for the provider's calls,
and as many messages under way.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx
from temporalio.testing import ActivityEnvironment

from activities.email import EmailActivities, SendEmail
from activities.handover import Handover
from activities.outgoing import Outgoing
from bench.bare import MESSAGE
from bench.flowing import enrolled
from bench.measuring import Results, alternating, ratio
from bench.stage import Stage, stage
from domain.sending_rules import SendingRules
from emails.templates import Templates
from integrations.sendgrid.mailer import SendGridMailer, _body
from workflows.discovery import discover_flows

MESSAGES = 200
THREADS = 20
LATENCY = 0.15
_numbers = count()


async def measure() -> Results:
    results: Results = {}
    for name, latency in (("single_send_vs_raw_post", LATENCY), ("single_send_vs_raw_post_instant", 0.0)):
        async with stage(latency=latency) as on:
            with ThreadPoolExecutor(THREADS) as threads:
                email = activities(on, threads)
                ours, raw = await alternating(lambda: by_activity(on, email), lambda: by_posts(on, threads))  # noqa: B023
            results[name] = ratio(ours, raw)
    return results


def activities(on: Stage, threads: ThreadPoolExecutor) -> EmailActivities:
    outgoing = Outgoing(SendGridMailer("SG.bench", on.provider_url))
    return EmailActivities(
        database=on.database,
        handover=Handover(on.database, outgoing, threads),
        templates=Templates.load(),
        sender=MESSAGE.sender,
        settings_models={name: flow.settings_model for name, flow in discover_flows().items()},
        unsubscribe_url=lambda contact_id: f"https://example.com/unsubscribe/{contact_id}",
        links={},
        rules=SendingRules(),
    )


async def by_activity(on: Stage, email: EmailActivities) -> float:
    """Messages a second."""
    waiting = iter([await enrolled(on) for _ in range(MESSAGES)])

    async def send() -> None:
        for row in waiting:
            await ActivityEnvironment().run(email.send, SendEmail(enrollment_id=row.id, step="welcome"))

    began = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(THREADS)))
    return MESSAGES / (time.perf_counter() - began)


async def by_posts(on: Stage, threads: ThreadPoolExecutor) -> float:
    """Messages a second."""
    body = _body(MESSAGE)
    limits = httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS)
    headers = {"Content-Type": "application/json"}
    with httpx.Client(base_url=on.provider_url, limits=limits, headers=headers, timeout=30) as client:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        posts = [
            loop.run_in_executor(threads, lambda: client.post("/v3/mail/send", content=body)) for _ in range(MESSAGES)
        ]
        await asyncio.gather(*posts)
        return MESSAGES / (time.perf_counter() - began)
