"""A broadcast on Temporal's time-skipping server, with its real activities, a real database and a provider's double."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlmodel import select
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.outgoing import Outgoing
from domain.broadcasts import BROADCASTS_TASK_QUEUE, BroadcastStatus
from domain.sending_rules import SendingRules
from integrations.sendgrid.mailer import SendGridMailer
from rehearsal.clock import ServerTime
from rehearsal.stage import fresh_database, skipping_server
from runtime.broadcasting import broadcast_workflow_id, tell_broadcast
from store.broadcasts import change_broadcast
from store.database import Database
from store.ledger_tables import MessageRow
from store.list_tables import BroadcastRow
from store.tables import on_clock
from tests.activities.broadcasting import activities_of
from tests.integrations.fake_sendgrid import API_KEY, FakeSendGrid
from tests.waiting import until
from workflows.discovery import workflow_runner
from workflows.lists.broadcast import BroadcastWorkflow


@dataclass
class BroadcastStage:
    server: WorkflowEnvironment
    database: Database
    time: ServerTime
    sendgrid: FakeSendGrid

    @property
    def client(self) -> Client:
        return self.server.client

    @asynccontextmanager
    async def conducted(
        self,
        row: BroadcastRow,
        rules: SendingRules | None = None,
        *,
        batch: int | None = None,
        workflow: type = BroadcastWorkflow,
    ) -> AsyncIterator[WorkflowHandle[Any, Any]]:
        """`batch`: of so many letters at the most."""
        mailer = SendGridMailer(API_KEY, self.sendgrid.url)
        if batch is not None:
            mailer.batch_size = batch
        with ThreadPoolExecutor(4) as threads:
            broadcasts = activities_of(self.database, Outgoing(mailer), threads, rules=rules)
            async with Worker(
                self.client,
                task_queue=BROADCASTS_TASK_QUEUE,
                workflows=[workflow],
                activities=[broadcasts.begin, broadcasts.send_batch, broadcasts.choose_winner, broadcasts.end],
                workflow_runner=workflow_runner(),
            ):
                await tell_broadcast(row, self.client, self.database)
                yield self.client.get_workflow_handle(broadcast_workflow_id(row.id))
                await self.time.skip(timedelta(0))
        mailer.close()

    async def change(self, row: BroadcastRow, to: BroadcastStatus) -> None:
        """As the API does: store first, then tell."""
        async with self.database.write() as session:
            changed = await change_broadcast(session, row.id, to)
        assert changed is not None
        await tell_broadcast(changed, self.client, self.database)

    async def stored(self, row: BroadcastRow) -> BroadcastRow:
        async with self.database.read() as session:
            return await session.get_one(BroadcastRow, row.id)

    async def until(self, row: BroadcastRow, status: BroadcastStatus) -> BroadcastRow:
        async def is_there() -> bool:
            return (await self.stored(row)).status == status

        await until(is_there, within=20)
        return await self.stored(row)

    async def messages(self, row: BroadcastRow) -> list[MessageRow]:
        async with self.database.read() as session:
            return list(await session.exec(select(MessageRow).where(MessageRow.broadcast_id == row.id)))

    async def statuses(self, row: BroadcastRow) -> Counter[str]:
        return Counter(str(each.status) for each in await self.messages(row))


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[BroadcastStage]:
    async with skipping_server() as server, fresh_database(folder) as database:
        time = ServerTime(server)
        await time.ask()
        with on_clock(time), FakeSendGrid() as sendgrid:
            yield BroadcastStage(server, database, time, sendgrid)
