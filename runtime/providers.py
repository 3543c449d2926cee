"""Which vendor does what, as the settings choose."""

from __future__ import annotations

from domain.crm import Crm
from domain.messages import Mailer
from integrations.outbox.mailer import OutboxMailer
from integrations.sendgrid.mailer import SendGridMailer
from integrations.smtp.mailer import SmtpMailer
from integrations.webhook.crm import WebhookCrm
from runtime.loopback import is_loopback
from runtime.settings import MailerName, Settings, SettingsError
from store.crm import DatabaseCrm
from store.database import Database

_SHOWN_TO_CONTACTS = ("sender_email", "sender_name", "sender_postal_address", "sender_website", "public_url")


def make_mailer(settings: Settings) -> Mailer:
    """Raises: SettingsError if the chosen mailer lacks a setting."""
    return _mailer(settings.mailer, settings)


def _mailer(name: MailerName, settings: Settings) -> Mailer:
    try:
        match name:
            case "outbox":
                return OutboxMailer(settings.outbox_folder)
            case "sendgrid":
                return _sendgrid(settings)
            case "smtp":
                return _smtp(settings)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _sendgrid(settings: Settings) -> SendGridMailer:
    if settings.sendgrid_api_key is None:
        raise SettingsError("SENDGRID_API_KEY: needed by the mailer sendgrid")
    if settings.sendgrid_url == Settings.model_fields["sendgrid_url"].default:
        _require_no_examples(settings)
    return SendGridMailer(settings.sendgrid_api_key.get_secret_value(), url=str(settings.sendgrid_url).rstrip("/"))


def _smtp(settings: Settings) -> SmtpMailer:
    user, password = settings.smtp_user, settings.smtp_password
    if not settings.smtp_host:
        raise SettingsError("CAUCE_SMTP_HOST: needed by the mailer smtp")
    if (user is None) != (password is None):
        raise SettingsError("CAUCE_SMTP_USER and CAUCE_SMTP_PASSWORD: needed together, or neither")
    if not is_loopback(settings.smtp_host):
        _require_no_examples(settings)
        if password is not None and settings.smtp_security == "none":
            raise SettingsError("CAUCE_SMTP_SECURITY: none would send the password in the clear; set starttls or tls")
    login = None if user is None or password is None else (user, password.get_secret_value())
    return SmtpMailer(settings.smtp_host, settings.smtp_port, settings.smtp_security, login)


def _require_no_examples(settings: Settings) -> None:
    unset = [name for name in _SHOWN_TO_CONTACTS if name not in settings.model_fields_set]
    if unset:
        names = ", ".join(f"CAUCE_{name.upper()}" for name in unset)
        raise SettingsError(f"{names}: still an example, and each email shows it: set it before emails go to people")


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
