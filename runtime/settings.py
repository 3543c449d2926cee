"""What a process is told by its environment. A test holds `docs/operating.md` to document each variable."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from domain.contacts import EmailAddress
from domain.messages import Sender
from integrations.sendgrid.webhook_key import WebhookKey
from runtime.encryption_keys import EncryptionKey, read_keys
from runtime.retention_settings import RetentionSettings

MailerName = Literal["outbox", "sendgrid", "smtp"]
MIN_KEY_LENGTH = 16
_LONG_ENOUGH = f"needs {MIN_KEY_LENGTH} characters or more; make one with: openssl rand -hex 24"


class SettingsError(Exception):
    """A variable of the environment is wrong: the text names it, its fault and the mend, without its value."""


class Settings(RetentionSettings):
    """Every variable starts with `CAUCE_`, but the key that SendGrid's own tools read too.

    The Temporal connection is not here: `temporalio.envconfig` reads `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`,
    `TEMPORAL_PROFILE` and the profile file.
    """

    model_config = SettingsConfigDict(env_prefix="CAUCE_", extra="ignore", frozen=True)

    data_dir: Path = Field(default=Path(".cauce"), description="folder of everything that is kept on this machine")
    database_url: SecretStr | None = Field(
        default=None, description="postgresql://… or sqlite:///…; default: cauce.db in the data folder"
    )
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="comma-separated keys, 16 characters or more each; none: the API is for this machine only",
    )
    api_url: AnyHttpUrl = Field(default=AnyHttpUrl("http://127.0.0.1:8000"), description="where commands reach the API")
    public_url: AnyHttpUrl = Field(
        default=AnyHttpUrl("http://127.0.0.1:8000"),
        description="where contacts reach the API: links in emails begin with it",
    )
    temporal_ui_url: AnyHttpUrl = Field(
        default=AnyHttpUrl("http://127.0.0.1:8233"), description="where people reach the Temporal Web UI"
    )
    secret_key: SecretStr | None = Field(
        default=None,
        min_length=MIN_KEY_LENGTH,
        description="signs links in emails; default: kept in the data folder, made at the first start",
    )
    previous_secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="comma-separated, from before: opt-out links and suppressions made with them still count",
    )
    encryption_keys: Annotated[tuple[EncryptionKey, ...], NoDecode] = Field(
        default=(),
        description="comma-separated id:base64 of 32 bytes: what Temporal keeps is encrypted with the first, "
        "decrypted with any; none: in plain",
    )
    mailer: MailerName = Field(default="outbox", description="who gets the emails")
    email_rate: float = Field(default=100, gt=0, description="emails a second at the most, over all workers")
    email_threads: int = Field(default=16, gt=0, le=256, description="emails handed over at once, by one worker")
    sendgrid_api_key: SecretStr | None = Field(
        default=None, validation_alias="SENDGRID_API_KEY", description="SendGrid API key"
    )
    sendgrid_url: AnyHttpUrl = Field(
        default=AnyHttpUrl("https://api.sendgrid.com"), description="SendGrid's address, or that of a stand-in"
    )
    sendgrid_webhook_key: str | None = Field(
        default=None,
        description="verification key of SendGrid's event webhook; without it, its events need an API key",
    )
    count_automated: bool = Field(
        default=False, description="whether opens and clicks that machines did count as the contact's"
    )
    smtp_host: str | None = Field(default=None, description="the mail server's name or address")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="the mail server's port: mostly 465 with tls")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="TLS after a greeting in the clear, from the first byte on, or none"
    )
    smtp_user: str | None = Field(default=None, description="who logs in to the mail server; default: nobody")
    smtp_password: SecretStr | None = Field(default=None, description="password of that user")
    sender_name: str = Field(default="Cauce", min_length=1, description="who emails come from")
    sender_email: EmailAddress = Field(default="hello@example.com", description="the address that emails come from")
    sender_postal_address: str = Field(
        default="1 Example Street, Example City", min_length=1, description="postal address in each email's footer"
    )
    sender_website: AnyHttpUrl = Field(default=AnyHttpUrl("https://example.com"), description="where emails lead to")
    double_opt_in: bool = Field(
        default=False, description="whether contacts confirm by a link what the API says that they agreed to"
    )
    crm_webhook_url: AnyHttpUrl | None = Field(
        default=None, description="where changes of contacts by flows are posted to; none: nowhere"
    )
    crm_webhook_secret: SecretStr | None = Field(
        default=None,
        min_length=MIN_KEY_LENGTH,
        validate_default=True,
        description="signs what is posted; its receiver has the same",
    )
    crm_webhook_allow_private: bool = Field(
        default=False, description="whether the receiver may be on a private network, and without TLS"
    )
    sweep_seconds: float = Field(
        default=5, gt=0, description="pause between two sweeps for what a crash left half done"
    )
    segment_refresh_seconds: float = Field(
        default=60, gt=0, description="how often a segment that a trigger watches is looked at as a whole"
    )
    worker_metrics: str | None = Field(
        default=None,
        pattern=r"^[^\s:]+:\d{1,5}$",
        description="host:port for the worker's Prometheus metrics; default: none",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="least level logged")

    @field_validator("api_keys", "previous_secret_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(key.strip() for key in value.split(",") if key.strip()) if isinstance(value, str) else value

    @field_validator("api_keys", "previous_secret_keys")
    @classmethod
    def _long_enough(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < MIN_KEY_LENGTH for key in value):
            raise ValueError(f"each key {_LONG_ENOUGH}")
        return value

    @field_validator("encryption_keys", mode="before")
    @classmethod
    def _read_encryption_keys(cls, value: object) -> object:
        return read_keys(value) if isinstance(value, str) else value

    @field_validator("sendgrid_webhook_key")
    @classmethod
    def _is_a_key(cls, value: str | None) -> str | None:
        if value is not None:
            WebhookKey(value)
        return value

    @field_validator("crm_webhook_secret")
    @classmethod
    def _there_with_the_url(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None and info.data.get("crm_webhook_url") is not None:
            raise ValueError("needed with CAUCE_CRM_WEBHOOK_URL; make one with: openssl rand -hex 24")
        return value

    @property
    def sender(self) -> Sender:
        return Sender(
            name=self.sender_name,
            email=self.sender_email,
            postal_address=self.sender_postal_address,
            website=str(self.sender_website).rstrip("/"),
        )

    @property
    def outbox_folder(self) -> Path:
        return self.data_dir / "outbox"

    def resolved_database_url(self) -> str:
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.resolve() / 'cauce.db'}"

    def secret_keys(self) -> list[str]:
        """The key that signs and hashes now, and then those from before. Raises: SettingsError."""
        return [self.resolved_secret_key(), *(key.get_secret_value() for key in self.previous_secret_keys)]

    def resolved_secret_key(self) -> str:
        """The key that signs links; without `CAUCE_SECRET_KEY` one is made once and kept in the data folder."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value()
        path = self.data_dir / "secret.key"
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            # Linked into place: of two processes that start at once, both end up with the first one's key.
            draft = self.data_dir / f"secret.{os.getpid()}.draft"
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(32))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        key = path.read_text()
        if len(key) < MIN_KEY_LENGTH:
            raise SettingsError(f"{path} is damaged: put the key back, or delete it and lose the links sent so far")
        return key


def load_settings() -> Settings:
    """Read the environment. Raises: SettingsError, naming each variable at fault."""
    try:
        return Settings()
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_input=False, include_url=False):
            field = str(fault["loc"][0])
            variable = field if field.isupper() else f"CAUCE_{field.upper()}"
            # Of a secret's length pydantic speaks as of a list's.
            what = _LONG_ENOUGH if fault["type"] == "too_short" else fault["msg"].removeprefix("Value error, ")
            faults.append(f"{variable}: {what}")
        raise SettingsError("; ".join(faults)) from None
