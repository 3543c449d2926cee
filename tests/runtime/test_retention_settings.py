"""How long events and messages are kept: for ever unless said so, and never for less than what asks for them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.flows import EnrollInactive, FlowType, Goal, OnEdit
from domain.triggers import Trigger
from runtime.settings import Settings, SettingsError, load_settings
from worker.retaining import kept, require_enough


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SENDGRID_API_KEY", *(f"CAUCE_{field.upper()}" for field in Settings.model_fields)):
        monkeypatch.delenv(name, raising=False)


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"CAUCE_{name}", value)
    return load_settings()


@pytest.mark.parametrize("blank", [{}, {"KEEP_EVENTS": "", "KEEP_MESSAGES": " "}])
def test_by_default_all_is_kept_for_ever(monkeypatch: pytest.MonkeyPatch, blank: dict[str, str]) -> None:
    settings = loaded(monkeypatch, **blank)
    assert (settings.keep_events, settings.keep_messages) == (None, None)
    assert kept(settings) == (None, None)


def test_each_is_kept_for_as_long_as_its_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, KEEP_EVENTS="400d", KEEP_MESSAGES="3650d")
    events_since, messages_since = kept(settings)
    assert events_since is not None
    assert messages_since is not None
    assert timedelta(days=3249) < events_since - messages_since < timedelta(days=3251)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"KEEP_EVENTS": "30d"}, r"^CAUCE_KEEP_EVENTS: 30 days is too short: 31d at the least$"),
        ({"KEEP_MESSAGES": "0d"}, r"^CAUCE_KEEP_MESSAGES: no time is too short: 31d at the least$"),
        ({"KEEP_MESSAGES": "4000d"}, r"^CAUCE_KEEP_MESSAGES: '4000d' is no duration: .* up to 3650d$"),
        ({"KEEP_EVENTS": "a year"}, r"^CAUCE_KEEP_EVENTS: 'a year' is no duration: .*"),
        (
            {"KEEP_MESSAGES": "90d", "MARKETING_CAPS": "2/1d,9/90d"},
            r"^CAUCE_KEEP_MESSAGES: 90 days is too short for CAUCE_MARKETING_CAPS, which looks back 90 days$",
        ),
        ({"KEEP_MESSAGES": "40d", "RELATIONSHIP_CAPS": "2/41d"}, r"too short for CAUCE_RELATIONSHIP_CAPS"),
        ({"KEEP_MESSAGES": "40d", "MINIMUM_GAP": "41d"}, r"too short for CAUCE_MINIMUM_GAP"),
        ({"KEEP_MESSAGES": "40d", "DOUBT_WINDOW": "41d"}, r"too short for CAUCE_DOUBT_WINDOW"),
    ],
)
def test_too_short_a_time_is_refused_with_what_needs_longer(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        loaded(monkeypatch, **variables)


def test_what_is_just_long_enough_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, KEEP_EVENTS="31d", KEEP_MESSAGES="91d", MARKETING_CAPS="9/90d")
    assert settings.keep_messages == timedelta(days=91)


def flow(**more: object) -> FlowType:
    goal = Goal(event="bought", target=0.1, within=timedelta(days=60))
    return FlowType.model_validate(
        {"title": "A flow", "goal": goal, "owner": "marketing", "on_edit": OnEdit.FOLLOW, **more}
    )


@pytest.mark.parametrize(
    ("looks_back", "what"),
    [
        ({"enrolls": EnrollInactive(inactive_for=timedelta(days=90), at_most=5)}, "daily enrollment"),
        ({"triggers": (Trigger(event="clicked", times=3, within=timedelta(days=90)),)}, "trigger"),
    ],
)
def test_events_are_kept_for_longer_than_any_flow_looks_back(
    monkeypatch: pytest.MonkeyPatch, looks_back: dict[str, object], what: str
) -> None:
    flows = {"plain": flow(), "winback": flow(**looks_back)}
    told = f"^CAUCE_KEEP_EVENTS: 90 days is too short for winback, whose {what} looks back 90 days$"
    with pytest.raises(SettingsError, match=told):
        require_enough(loaded(monkeypatch, KEEP_EVENTS="90d"), flows)
    require_enough(loaded(monkeypatch, KEEP_EVENTS="91d"), flows)
    monkeypatch.delenv("CAUCE_KEEP_EVENTS")
    require_enough(loaded(monkeypatch, KEEP_MESSAGES="90d"), flows)
