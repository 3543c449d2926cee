"""One attempt at a send in a process of its own, which may exit hard between two of its steps.

python -m tests.activities.attempt ORDER    (JSON, see `Attempt`)
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.testing import ActivityEnvironment

from activities.email import EmailActivities, SendEmail
from domain.messages import EmailMessage, Mailer, Receipt
from emails.templates import Templates
from integrations.outbox.mailer import OutboxMailer
from integrations.sendgrid.mailer import SendGridMailer
from runtime.settings import Settings
from store.database import Database
from tests.integrations.fake_sendgrid import API_KEY
from workflows.onboarding import OnboardingSettings

HARD_EXIT = 77
CrashPoint = Literal["before the reservation", "before the call", "before the receipt", "after the receipt"]


class Attempt(BaseModel):
    enrollment_id: str
    database_url: str
    outbox: Path
    sendgrid_url: str | None
    crash: CrashPoint | None


class CrashingDatabase(Database):
    """The first transaction is the reservation, the second the receipt."""

    def __init__(self, url: str, crash: CrashPoint | None) -> None:
        super().__init__(url)
        self._crash = crash
        self._writes = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        async with super().write() as session:
            yield session
            if self._crash == "before the reservation":
                os._exit(HARD_EXIT)
        self._writes += 1
        if self._crash == "after the receipt" and self._writes == 2:
            os._exit(HARD_EXIT)


class CrashingMailer:
    def __init__(self, mailer: Mailer, crash: CrashPoint | None) -> None:
        self.name = mailer.name
        self.idempotent = mailer.idempotent
        self._mailer = mailer
        self._crash = crash

    def send(self, message: EmailMessage) -> Receipt:
        if self._crash == "before the call":
            os._exit(HARD_EXIT)
        receipt = self._mailer.send(message)
        if self._crash == "before the receipt":
            os._exit(HARD_EXIT)
        return receipt

    def close(self) -> None:
        self._mailer.close()


async def run(attempt: Attempt) -> str:
    mailer = SendGridMailer(API_KEY, url=attempt.sendgrid_url) if attempt.sendgrid_url else OutboxMailer(attempt.outbox)
    database = CrashingDatabase(attempt.database_url, attempt.crash)
    with ThreadPoolExecutor(1) as threads:
        email = EmailActivities(
            database=database,
            mailer=CrashingMailer(mailer, attempt.crash),
            templates=Templates.load(),
            sender=Settings().sender,
            settings_models={"onboarding": OnboardingSettings},
            unsubscribe_url=lambda contact_id: f"https://example.com/{contact_id}",
            threads=threads,
        )
        order = SendEmail(enrollment_id=attempt.enrollment_id, step="welcome", message="welcome")
        result = await ActivityEnvironment().run(email.send, order)
    await database.close()
    return result.status


if __name__ == "__main__":
    asyncio.run(run(Attempt.model_validate_json(sys.argv[1])))
