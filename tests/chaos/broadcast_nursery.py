"""Workers whose batches are small, and that are missed soon after they were killed."""

from __future__ import annotations

from datetime import timedelta

from activities import handover

handover.HEARTBEAT_TIMEOUT = timedelta(seconds=2)
handover._BEAT_SECONDS = 0.5  # type: ignore[assignment]

from integrations.sendgrid.mailer import SendGridMailer  # noqa: E402 (what they import is to find this)
from tests.chaos.nursery import main  # noqa: E402

BATCH = 50
SendGridMailer.batch_size = BATCH

if __name__ == "__main__":
    main()
