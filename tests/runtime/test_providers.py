from __future__ import annotations

import pytest

from domain.messages import Mailer
from integrations.webhook.crm import WebhookCrm
from runtime.providers import make_crm, make_mailer
from runtime.settings import Settings, SettingsError, load_settings
from store.crm import DatabaseCrm
from store.database import Database


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"CAUCE_{field.upper()}", raising=False)


def given(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"CAUCE_CRM_WEBHOOK_{name.upper()}", value)
    return load_settings()


async def test_the_crm_is_our_own_database_unless_a_webhook_is_set(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(make_crm(given(monkeypatch), database), DatabaseCrm)
    settings = given(monkeypatch, url="https://crm.example.com/hook", secret="0123456789abcdef")
    crm = make_crm(settings, database)
    assert isinstance(crm, WebhookCrm)
    await crm.close()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"url": "https://crm.example.com/hush"}, "CAUCE_CRM_WEBHOOK_SECRET: needed"),
        ({"url": "https://crm.example.com/hush", "secret": "hush"}, "CAUCE_CRM_WEBHOOK_SECRET: "),
        ({"url": "hush"}, "CAUCE_CRM_WEBHOOK_URL: "),
        (
            {"url": "http://127.0.0.1:9000/hush", "secret": "0123456789abcdef"},
            "set CAUCE_CRM_WEBHOOK_URL to an https://.* or CAUCE_CRM_WEBHOOK_ALLOW_PRIVATE=true",
        ),
        (
            {"url": "https://10.0.0.1/hush", "secret": "0123456789abcdef"},
            "set CAUCE_CRM_WEBHOOK_URL to one that is, or CAUCE_CRM_WEBHOOK_ALLOW_PRIVATE=true",
        ),
        ({"allow_private": "hush"}, "CAUCE_CRM_WEBHOOK_ALLOW_PRIVATE: "),
    ],
)
def test_a_webhook_that_cannot_be_is_a_clear_line(
    database: Database, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingsError, match=told) as refusal:
        make_crm(given(monkeypatch, **variables), database)
    assert "hush" not in str(refusal.value)


async def test_a_receiver_of_the_own_network_may_be_meant(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, url="http://10.0.0.1/", secret="0123456789abcdef", allow_private="true")
    await make_crm(settings, database).close()


SENDER = {
    "CAUCE_SENDER_EMAIL": "hola@cauce.example",
    "CAUCE_SENDER_NAME": "Cauce",
    "CAUCE_SENDER_POSTAL_ADDRESS": "Av. Ñuñoa 1",
    "CAUCE_SENDER_WEBSITE": "https://cauce.example",
    "CAUCE_PUBLIC_URL": "https://news.cauce.example",
}
FAR = {"CAUCE_SMTP_HOST": "smtp.cauce.example"}
LOGIN = {"CAUCE_SMTP_USER": "hush", "CAUCE_SMTP_PASSWORD": "hush"}


def mailer_given(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Mailer:
    for name, value in {"CAUCE_MAILER": "smtp", **variables}.items():
        monkeypatch.setenv(name, value)
    return make_mailer(load_settings())


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (SENDER, "^CAUCE_SMTP_HOST: needed by the mailer smtp$"),
        ({"CAUCE_SMTP_HOST": ""}, "^CAUCE_SMTP_HOST: needed"),
        ({"CAUCE_SMTP_HOST": "smtp://hush"} | SENDER, "^CAUCE_SMTP_HOST: not a host's name"),
        ({"CAUCE_SMTP_PORT": "0"}, "^CAUCE_SMTP_PORT: "),
        ({"CAUCE_SMTP_SECURITY": "hush"}, "^CAUCE_SMTP_SECURITY: "),
        (FAR | SENDER | {"CAUCE_SMTP_USER": "hush"}, "CAUCE_SMTP_PASSWORD: needed together"),
        (FAR | SENDER | {"CAUCE_SMTP_PASSWORD": "hush"}, "^CAUCE_SMTP_USER and"),
        (FAR | SENDER | LOGIN | {"CAUCE_SMTP_PASSWORD": "hush\n"}, "^CAUCE_SMTP_PASSWORD: empty, or has characters"),
        (FAR | SENDER | LOGIN | {"CAUCE_SMTP_SECURITY": "none"}, "^CAUCE_SMTP_SECURITY: .* in the clear"),
        (FAR, "^CAUCE_SENDER_EMAIL, CAUCE_SENDER_NAME, CAUCE_SENDER_POSTAL_ADDRESS, .*, CAUCE_PUBLIC_URL: still an ex"),
        (FAR | SENDER | {"CAUCE_SMTP_HOST": "10.0.0.1"} | LOGIN, None),
        (FAR | SENDER | {"CAUCE_SMTP_SECURITY": "none"}, None),
        ({"CAUCE_SMTP_HOST": "localhost", "CAUCE_SMTP_SECURITY": "none"} | LOGIN, None),
        ({"CAUCE_SMTP_HOST": "127.0.0.9"}, None),
        ({"CAUCE_SMTP_HOST": "::1"}, None),
    ],
)
def test_email_by_smtp_needs_a_host_and_tells_no_password_to_the_network(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str | None
) -> None:
    if told is None:
        mailer = mailer_given(monkeypatch, **variables)
        mailer.close()
        assert mailer.name == "smtp"
        return
    with pytest.raises(SettingsError, match=told) as refusal:
        mailer_given(monkeypatch, **variables)
    assert "hush" not in str(refusal.value)
