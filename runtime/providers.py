"""Which vendor does what, as the settings choose."""

from __future__ import annotations

from domain.crm import Crm
from domain.messages import Mailer
from integrations.outbox.mailer import OutboxMailer
from integrations.sendgrid.mailer import SendGridMailer
from integrations.webhook.crm import WebhookCrm
from runtime.settings import Settings, SettingsError
from store.crm import DatabaseCrm
from store.database import Database

_SHOWN_TO_CONTACTS = ("sender_email", "sender_name", "sender_postal_address", "sender_website", "public_url")


def make_mailer(settings: Settings) -> Mailer:
    """Raises: SettingsError if the chosen mailer lacks a setting."""
    if settings.mailer == "outbox":
        return OutboxMailer(settings.outbox_folder)
    if settings.sendgrid_api_key is None:
        raise SettingsError("SENDGRID_API_KEY: needed by CAUCE_MAILER=sendgrid")
    unset = [name for name in _SHOWN_TO_CONTACTS if name not in settings.model_fields_set]
    if settings.sendgrid_url == Settings.model_fields["sendgrid_url"].default and unset:
        names = ", ".join(f"CAUCE_{name.upper()}" for name in unset)
        raise SettingsError(f"{names}: still an example, and each email shows it: set it before emails go to people")
    try:
        return SendGridMailer(settings.sendgrid_api_key.get_secret_value(), url=str(settings.sendgrid_url).rstrip("/"))
    except ValueError as error:
        raise SettingsError(str(error)) from None


def make_crm(settings: Settings, database: Database) -> Crm:
    """Our own database, with a webhook behind it if one is set. Raises: SettingsError if its URL cannot be one."""
    if settings.crm_webhook_url is None or settings.crm_webhook_secret is None:
        return DatabaseCrm(database)
    try:
        return WebhookCrm(
            DatabaseCrm(database, mirrored=True),
            str(settings.crm_webhook_url),
            settings.crm_webhook_secret.get_secret_value(),
            allow_private=settings.crm_webhook_allow_private,
        )
    except ValueError as error:
        raise SettingsError(str(error)) from None
