"""One attempt at a change in a process of its own, which may exit hard between two of its steps.

python -m tests.activities.crm_attempt ATTEMPT    (JSON, see `Attempt`)
"""

from __future__ import annotations

import asyncio
import sys
from typing import Literal

from pydantic import BaseModel
from temporalio.testing import ActivityEnvironment

from activities.crm import ApplyChange, CrmActivities
from domain.crm import AddScore, CrmResult
from integrations.webhook.crm import WebhookCrm
from store.crm import DatabaseCrm
from tests.activities.crashing import CrashingDatabase, Points

CrashPoint = Literal["before the change stands", "before the post", "before its answer is noted", "after it is noted"]
WRITES = (
    Points("before the change stands", "before the post"),
    Points("before its answer is noted", "after it is noted"),
)


class Attempt(BaseModel):
    enrollment_id: str
    database_url: str
    webhook_url: str
    crash: CrashPoint | None = None


async def run(attempt: Attempt) -> CrmResult:
    database = CrashingDatabase(attempt.database_url, attempt.crash, WRITES)
    crm = WebhookCrm(DatabaseCrm(database, mirrored=True), attempt.webhook_url, "0123456789abcdef", allow_private=True)
    order = ApplyChange(enrollment_id=attempt.enrollment_id, step="clicked-guide", change=AddScore(points=10))
    result = await ActivityEnvironment().run(CrmActivities(crm).apply, order)
    await crm.close()
    await database.close()
    return result


if __name__ == "__main__":
    asyncio.run(run(Attempt.model_validate_json(sys.argv[1])))
