"""What Temporal and the provider themselves cost: hand-written workflows, and a process that runs them.

As a process, with the settings of a `cauce worker`: `python -m bench.bare`
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from domain.messages import EmailMessage, Sender
    from integrations.sendgrid.mailer import SendGridMailer
    from workflows.discovery import workflow_runner

TASK_QUEUE = "bare"
MESSAGES = 4
_THREADS = 20

MESSAGE = EmailMessage(
    id="0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11",
    flow="bare",
    step="message",
    sender=Sender(name="Cauce", email="hello@example.com", postal_address="1 Street", website="https://example.com"),
    to_email="ada@example.com",
    to_name="Ada Lovelace",
    subject="Welcome, Ada",
    html="<p>" + "A message as long as those of onboarding. " * 200 + "</p>",
    text="A message as long as those of onboarding. " * 20,
    unsubscribe_url="https://example.com/unsubscribe/0193f0c2",
)


@workflow.defn(name="empty")
class Empty:
    @workflow.run
    async def run(self) -> None:
        """End."""


@workflow.defn(name="bare_series")
class BareSeries:
    @workflow.run
    async def run(self) -> None:
        for _ in range(MESSAGES):
            await workflow.execute_activity("bare.post", start_to_close_timeout=timedelta(seconds=30))


def poster(url: str) -> tuple[SendGridMailer, object]:
    """A mailer, and the activity that posts by it."""
    mailer = SendGridMailer("SG.bench", url)

    @activity.defn(name="bare.post")
    def post() -> None:
        mailer.send(MESSAGE)

    return mailer, post


async def main() -> None:
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    mailer, post = poster(os.environ["CAUCE_SENDGRID_URL"])
    with ThreadPoolExecutor(_THREADS) as threads:
        async with Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[Empty, BareSeries],
            activities=[post],  # type: ignore[list-item]
            activity_executor=threads,
            workflow_runner=workflow_runner(),
            disable_eager_activity_execution=True,  # emails, on a task queue of their own, are not eager either
        ):
            await asyncio.Event().wait()
    mailer.close()


if __name__ == "__main__":
    asyncio.run(main())
