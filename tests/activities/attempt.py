"""One attempt at a send in a process of its own, which may exit hard between two of its steps.

python -m tests.activities.attempt ORDER    (JSON, see `Attempt`)
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from temporalio.testing import ActivityEnvironment

from activities.email import EmailActivities, SendEmail
from activities.handover import Handover
from activities.outgoing import Outgoing
from domain.messages import EmailMessage, Mailer, Receipt
from domain.sending_rules import SendingRules
from emails.templates import Templates
from integrations.outbox.mailer import OutboxMailer
from integrations.sendgrid.mailer import SendGridMailer
from runtime.settings import Settings
from tests.activities.crashing import CrashingDatabase, Points, exit_at
from tests.integrations.fake_sendgrid import API_KEY
from workflows.onboarding import OnboardingSettings

CrashPoint = Literal["before the reservation", "before the call", "before the receipt", "after the receipt"]
WRITES = (Points("before the reservation"), Points(after="after the receipt"))


class Attempt(BaseModel):
    enrollment_id: str
    database_url: str
    outbox: Path
    sendgrid_url: str | None
    crash: CrashPoint | None


class CrashingMailer:
    def __init__(self, mailer: Mailer, crash: CrashPoint | None) -> None:
        self.name = mailer.name
        self.idempotent = mailer.idempotent
        self._mailer = mailer
        self._crash = crash

    def send(self, message: EmailMessage) -> Receipt:
        exit_at("before the call", self._crash)
        receipt = self._mailer.send(message)
        exit_at("before the receipt", self._crash)
        return receipt

    def close(self) -> None:
        self._mailer.close()


async def run(attempt: Attempt) -> str:
    mailer = SendGridMailer(API_KEY, url=attempt.sendgrid_url) if attempt.sendgrid_url else OutboxMailer(attempt.outbox)
    database = CrashingDatabase(attempt.database_url, attempt.crash, WRITES)
    with ThreadPoolExecutor(1) as threads:
        email = EmailActivities(
            database=database,
            handover=Handover(database, Outgoing(CrashingMailer(mailer, attempt.crash)), threads),
            templates=Templates.load(),
            sender=Settings().sender,
            settings_models={"onboarding": OnboardingSettings},
            unsubscribe_url=lambda contact_id: f"https://example.com/{contact_id}",
            links={},
            rules=SendingRules(),
        )
        order = SendEmail(enrollment_id=attempt.enrollment_id, step="welcome", message="welcome")
        result = await ActivityEnvironment().run(email.send, order)
    await database.close()
    return result.status


if __name__ == "__main__":
    asyncio.run(run(Attempt.model_validate_json(sys.argv[1])))
