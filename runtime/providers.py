"""Which vendor does what, as the settings choose."""

from __future__ import annotations

from domain.messages import Mailer
from integrations.outbox.mailer import OutboxMailer
from integrations.sendgrid.mailer import SendGridMailer
from runtime.settings import Settings, SettingsError


def make_mailer(settings: Settings) -> Mailer:
    """Raises: SettingsError if the chosen mailer lacks a setting."""
    if settings.mailer == "outbox":
        return OutboxMailer(settings.outbox_folder)
    if settings.sendgrid_api_key is None:
        raise SettingsError("SENDGRID_API_KEY: needed by CAUCE_MAILER=sendgrid")
    try:
        return SendGridMailer(settings.sendgrid_api_key.get_secret_value(), url=str(settings.sendgrid_url).rstrip("/"))
    except ValueError as error:
        raise SettingsError(str(error)) from None
