"""How tests call the SMTP mailer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.messages import EmailMessage, MailerError
from integrations.smtp.mailer import SmtpMailer
from tests.integrations.fake_smtp import FakeSmtp
from tests.integrations.mailer_contract import a_message

LOGIN = ("cauce", "s3cret pass")
A_SECOND = timedelta(seconds=1)
AT_MOST_SECONDS = 15
"""What a send may take when a time-out of a second is met, on a busy machine; half of the other time-outs."""


def mailer_of(smtp: FakeSmtp, **changes: Any) -> SmtpMailer:
    return SmtpMailer(**{"host": "127.0.0.1", "port": smtp.port, "security": "none", **changes})


def refusal(mailer: SmtpMailer, message: EmailMessage | None = None) -> MailerError:
    """Send a message, and expect a failure that tells nobody's address, name or password, nor the server's text."""
    with pytest.raises(MailerError) as caught:
        mailer.send(message or a_message())
    error = caught.value
    for told in ("ada", "example", "Condesa", *LOGIN, "hush"):
        assert told not in error.reason
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error
