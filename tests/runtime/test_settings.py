from __future__ import annotations

from pathlib import Path

import pytest

from runtime.providers import make_mailer
from runtime.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SENDGRID_API_KEY", *(f"CAUCE_{field.upper()}" for field in Settings.model_fields)):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CAUCE_API_KEYS", "hush-short"),
        ("CAUCE_SECRET_KEY", ""),
        ("CAUCE_CRM_WEBHOOK_SECRET", "hush"),
        ("CAUCE_MAILER", "pigeon"),
        ("CAUCE_EMAIL_RATE", "0"),
        ("CAUCE_SENDER_EMAIL", "nobody"),
        ("CAUCE_PUBLIC_URL", "example"),
        ("CAUCE_WORKER_METRICS", "9464"),
        ("CAUCE_SENDGRID_WEBHOOK_KEY", "hush"),
        ("CAUCE_SENDGRID_WEBHOOK_KEY", ""),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}: ") as refusal:
        load_settings()
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("variable", ["CAUCE_API_KEYS", "CAUCE_SECRET_KEY", "CAUCE_CRM_WEBHOOK_SECRET"])
def test_how_long_a_secret_has_to_be_is_told_in_characters(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "short")
    with pytest.raises(SettingsError, match=r"needs 16 characters or more; make one with: openssl rand -hex 24$"):
        load_settings()


def test_a_webhook_without_the_secret_that_signs_it_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUCE_CRM_WEBHOOK_URL", "https://crm.example.com/hook")
    with pytest.raises(SettingsError, match=r"^CAUCE_CRM_WEBHOOK_SECRET: needed with CAUCE_CRM_WEBHOOK_URL; make one "):
        load_settings()


def test_keys_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUCE_API_KEYS", "first-key-of-sixteen, second-key-of-sixteen,")
    assert [key.get_secret_value() for key in load_settings().api_keys] == [
        "first-key-of-sixteen",
        "second-key-of-sixteen",
    ]


def test_a_secret_key_is_made_once_and_kept_to_its_owner(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    key = settings.resolved_secret_key()
    assert len(key) >= 32
    assert settings.resolved_secret_key() == key
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o077 == 0


def test_a_damaged_secret_key_signs_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret.key").touch()
    with pytest.raises(SettingsError, match=r"secret\.key is damaged"):
        Settings(data_dir=tmp_path).resolved_secret_key()


@pytest.mark.parametrize("key", [None, "", "SG.with space"])
def test_sendgrid_without_a_key_that_can_be_one_is_a_clear_line(
    monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.setenv("CAUCE_MAILER", "sendgrid")
    monkeypatch.setenv("CAUCE_SENDGRID_URL", "http://127.0.0.1:9")
    if key is not None:
        monkeypatch.setenv("SENDGRID_API_KEY", key)
    with pytest.raises(SettingsError, match="SENDGRID_API_KEY"):
        make_mailer(load_settings())


def test_no_example_sender_writes_to_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUCE_MAILER", "sendgrid")
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.key")
    monkeypatch.setenv("CAUCE_SENDER_EMAIL", "ada@example.com")
    with pytest.raises(SettingsError, match="CAUCE_SENDER_POSTAL_ADDRESS") as refusal:
        make_mailer(load_settings())
    assert "CAUCE_SENDER_EMAIL" not in str(refusal.value)
    monkeypatch.setenv("CAUCE_SENDGRID_URL", "http://127.0.0.1:9")
    assert make_mailer(load_settings()).name == "sendgrid"
