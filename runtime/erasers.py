"""Whom an erasure asks, as the settings choose."""

from __future__ import annotations

from domain.erasure import Eraser
from integrations.outbox.eraser import OutboxEraser
from integrations.sendgrid.eraser import SendGridEraser
from runtime.settings import Settings, SettingsError


def make_erasers(settings: Settings) -> dict[str, Eraser]:
    """By the name of their mailer, whichever is chosen now: contacts may have messages from before.

    A mail server (smtp) has no way to be asked. Raises: SettingsError if the key or URL of SendGrid cannot be one.
    """
    erasers: dict[str, Eraser] = {"outbox": OutboxEraser(settings.outbox_folder)}
    if settings.sendgrid_api_key is not None:
        try:
            erasers["sendgrid"] = SendGridEraser(
                settings.sendgrid_api_key.get_secret_value(), url=str(settings.sendgrid_url).rstrip("/")
            )
        except ValueError as error:
            raise SettingsError(str(error)) from None
    return erasers
