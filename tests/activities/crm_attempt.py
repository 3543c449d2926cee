"""One attempt at a change in a process of its own, which may exit hard between two of its steps.

python -m tests.activities.crm_attempt ATTEMPT    (JSON, see `Attempt`)
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.testing import ActivityEnvironment

from activities.crm import ApplyChange, CrmActivities
from domain.crm import AddScore, CrmResult
from integrations.webhook.crm import WebhookCrm
from store.crm import DatabaseCrm
from store.database import Database

HARD_EXIT = 77
CrashPoint = Literal["before the change stands", "before the post", "before its answer is noted", "after it is noted"]


class Attempt(BaseModel):
    enrollment_id: str
    database_url: str
    webhook_url: str
    crash: CrashPoint | None = None


class CrashingDatabase(Database):
    """The first transaction is the change, the second the note of the webhook's answer."""

    def __init__(self, url: str, crash: CrashPoint | None) -> None:
        super().__init__(url)
        self._crash = crash
        self._writes = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        async with super().write() as session:
            yield session
            self._exit_at(0, "before the change stands")
            self._exit_at(1, "before its answer is noted")
        self._exit_at(0, "before the post")
        self._exit_at(1, "after it is noted")
        self._writes += 1

    def _exit_at(self, write: int, point: CrashPoint) -> None:
        if self._writes == write and self._crash == point:
            os._exit(HARD_EXIT)


async def run(attempt: Attempt) -> CrmResult:
    database = CrashingDatabase(attempt.database_url, attempt.crash)
    crm = WebhookCrm(DatabaseCrm(database, mirrored=True), attempt.webhook_url, "0123456789abcdef", allow_private=True)
    order = ApplyChange(enrollment_id=attempt.enrollment_id, step="clicked-guide", change=AddScore(points=10))
    result = await ActivityEnvironment().run(CrmActivities(crm).apply, order)
    await crm.close()
    await database.close()
    return result


if __name__ == "__main__":
    asyncio.run(run(Attempt.model_validate_json(sys.argv[1])))
