from __future__ import annotations

import pytest

from integrations.webhook.crm import WebhookCrm
from runtime.providers import make_crm
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
