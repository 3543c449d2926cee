"""One attempt to offer a lead in a process of its own, which may exit hard between two of its steps.

python -m tests.activities.lead_attempt ATTEMPT    (JSON, see `Attempt`)
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.testing import ActivityEnvironment

from activities.handover import Handover
from activities.leads import LeadActivities, OfferLead
from activities.people_mail import PeopleMail
from domain.crm import Crm
from domain.messages import Mailer
from domain.questions import Offer
from emails.templates import Templates
from emails.words import Words
from integrations.outbox.mailer import OutboxMailer
from runtime.settings import Settings
from store.crm import DatabaseCrm
from store.database import Database
from tests.store.sales import MONDAY, STEP

HARD_EXIT = 77
SLA = timedelta(hours=4)
CrashPoint = Literal["before the choice stands", "before the mail", "before its receipt", "after its receipt"]


class Attempt(BaseModel):
    enrollment_id: str
    database_url: str
    outbox: Path
    crash: CrashPoint | None = None


class CrashingDatabase(Database):
    """The first transaction is the choice, the second reserves the mail, the third keeps its receipt."""

    def __init__(self, url: str, crash: CrashPoint | None) -> None:
        super().__init__(url)
        self._crash = crash
        self._writes = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        async with super().write() as session:
            yield session
            self._exit_at(0, "before the choice stands")
            self._exit_at(2, "before its receipt")
        self._exit_at(0, "before the mail")
        self._exit_at(2, "after its receipt")
        self._writes += 1

    def _exit_at(self, write: int, point: CrashPoint) -> None:
        if self._writes == write and self._crash == point:
            os._exit(HARD_EXIT)


@asynccontextmanager
async def lead_activities(
    database: Database, mailer: Mailer, clock: Callable[[], datetime], crm: Crm | None = None
) -> AsyncIterator[LeadActivities]:
    with ThreadPoolExecutor(1) as threads:
        yield LeadActivities(
            database,
            PeopleMail(Handover(database, mailer, threads), Templates.load(), Words.load(), Settings().sender),
            crm or DatabaseCrm(database),
            offer_url=lambda assignment_id, person_id: f"https://example.com/lead/{assignment_id}/{person_id}",
            queue_url=lambda assignment_id, person_id: f"https://example.com/queue/{assignment_id}/{person_id}",
            clock=clock,
        )


async def run(attempt: Attempt) -> Offer:
    database = CrashingDatabase(attempt.database_url, attempt.crash)
    order = OfferLead(enrollment_id=attempt.enrollment_id, step=STEP, part=f"{STEP}/offer-1", respond_within=SLA)
    async with lead_activities(database, OutboxMailer(attempt.outbox), lambda: MONDAY) as activities:
        offer = await ActivityEnvironment().run(activities.offer, order)
    await database.close()
    return offer


if __name__ == "__main__":
    asyncio.run(run(Attempt.model_validate_json(sys.argv[1])))
