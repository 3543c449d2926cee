"""One attempt to offer a lead in a process of its own, which may exit hard between two of its steps.

python -m tests.activities.lead_attempt ATTEMPT    (JSON, see `Attempt`)
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from temporalio.testing import ActivityEnvironment

from activities.handover import Handover
from activities.leads import LeadActivities, OfferLead
from activities.outgoing import Outgoing
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
from tests.activities.crashing import CrashingDatabase, Points
from tests.store.sales import MONDAY, STEP

SLA = timedelta(hours=4)
CrashPoint = Literal["before the choice stands", "before the mail", "before its receipt", "after its receipt"]
WRITES = (
    Points("before the choice stands", "before the mail"),
    Points(),
    Points("before its receipt", "after its receipt"),
)
"""The choice, the mail's reservation, its receipt."""


class Attempt(BaseModel):
    enrollment_id: str
    database_url: str
    outbox: Path
    crash: CrashPoint | None = None


@asynccontextmanager
async def lead_activities(
    database: Database, mailer: Mailer, clock: Callable[[], datetime], crm: Crm | None = None
) -> AsyncIterator[LeadActivities]:
    with ThreadPoolExecutor(1) as threads:
        handover = Handover(database, Outgoing(mailer), threads)
        yield LeadActivities(
            database,
            PeopleMail(handover, Templates.load(), Words.load(), Settings().sender),
            crm or DatabaseCrm(database),
            offer_url=lambda assignment_id, person_id: f"https://example.com/lead/{assignment_id}/{person_id}",
            queue_url=lambda assignment_id, person_id: f"https://example.com/queue/{assignment_id}/{person_id}",
            clock=clock,
        )


async def run(attempt: Attempt) -> Offer:
    database = CrashingDatabase(attempt.database_url, attempt.crash, WRITES)
    order = OfferLead(enrollment_id=attempt.enrollment_id, step=STEP, part=f"{STEP}/offer-1", respond_within=SLA)
    async with lead_activities(database, OutboxMailer(attempt.outbox), lambda: MONDAY) as activities:
        offer = await ActivityEnvironment().run(activities.offer, order)
    await database.close()
    return offer


if __name__ == "__main__":
    asyncio.run(run(Attempt.model_validate_json(sys.argv[1])))
