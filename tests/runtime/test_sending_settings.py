from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import pytest

from domain.frequency import Cap
from domain.messages import MessageClass
from domain.working_time import WORKDAYS, Weekday
from runtime.settings import Settings, SettingsError, load_settings
from worker.outgoing import make_outgoing


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SENDGRID_API_KEY", *(f"CAUCE_{field.upper()}" for field in Settings.model_fields)):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CAUCE_SENDING_HOURS", "9 to 5"),
        ("CAUCE_SENDING_HOURS", "21:00-08:00"),
        ("CAUCE_SENDING_HOURS", "25:00-26:00"),
        ("CAUCE_SENDING_DAYS", "monday,sonntag"),
        ("CAUCE_SENDER_TIME_ZONE", "Santiago"),
        ("CAUCE_MARKETING_CAPS", "two a day"),
        ("CAUCE_RELATIONSHIP_CAPS", "0/1d"),
        ("CAUCE_MINIMUM_GAP", "4 hours"),
        ("CAUCE_DOUBT_WINDOW", "0s"),
        ("CAUCE_FAILOVER_MAILER", "outbox"),
    ],
)
def test_a_wrong_rule_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}: "):
        load_settings()


def test_rules_are_read_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUCE_SENDING_HOURS", "08:00-21:00")
    monkeypatch.setenv("CAUCE_SENDING_DAYS", "monday, tuesday")
    monkeypatch.setenv("CAUCE_MARKETING_CAPS", "2/1d, 5/7d")
    monkeypatch.setenv("CAUCE_MINIMUM_GAP", "4h")
    rules = load_settings().sending_rules
    assert rules.hours is not None
    assert (rules.hours.begins, rules.hours.ends) == (time(8), time(21))
    assert rules.hours.days == (Weekday.MONDAY, Weekday.TUESDAY)
    day = timedelta(days=1)
    assert rules.caps[MessageClass.MARKETING] == (Cap(limit=2, within=day), Cap(limit=5, within=7 * day))
    assert (rules.caps[MessageClass.RELATIONSHIP], rules.minimum_gap) == ((), timedelta(hours=4))


def test_days_alone_have_sending_hours_all_day(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().sending_rules.hours is None
    monkeypatch.setenv("CAUCE_SENDING_DAYS", ",".join(WORKDAYS))
    hours = load_settings().sending_rules.hours
    assert hours is not None
    assert (hours.begins, hours.ends, hours.days) == (time(0), time(23, 59), WORKDAYS)


def test_a_second_provider_is_another_one_and_has_its_own_settings(tmp_path: Path) -> None:
    known = {"data_dir": tmp_path, "mailer": "outbox", "sendgrid_url": "http://127.0.0.1:1"}
    with pytest.raises(SettingsError, match=r"^SENDGRID_API_KEY: "):
        make_outgoing(Settings.model_validate({**known, "failover_mailer": "sendgrid"}))
    with_key = {**known, "SENDGRID_API_KEY": "SG.key"}
    outgoing = make_outgoing(Settings.model_validate({**with_key, "failover_mailer": "sendgrid"}))
    assert list(outgoing.mailers) == ["outbox", "sendgrid"]
    outgoing.close()
    with pytest.raises(SettingsError, match=r"^CAUCE_FAILOVER_MAILER: is CAUCE_MAILER itself"):
        make_outgoing(Settings.model_validate({**with_key, "mailer": "sendgrid", "failover_mailer": "sendgrid"}))
