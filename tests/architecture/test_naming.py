"""Names follow one scheme, on the wire and on disk."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from temporalio import activity

from activities.email import EmailActivities
from activities.enrollments import EnrollmentActivities
from emails.templates import Templates
from runtime.settings import Settings
from workflows.discovery import discover_flows

ROOT = Path(__file__).parents[2]
DRAWERS = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}


def test_activities_are_named_capability_dot_verb() -> None:
    for holder in (EmailActivities, EnrollmentActivities):
        for _, method in inspect.getmembers(holder, inspect.isfunction):
            definition = activity._Definition.from_callable(method)
            if definition is not None:
                assert re.fullmatch(r"[a-z_]+\.[a-z_]+", str(definition.name)), f"{definition.name}: expected area.verb"


def test_flows_are_named_like_their_files() -> None:
    flows = discover_flows()
    assert "onboarding" in flows
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in flows)


def test_the_shipped_templates_fit_the_flows_settings() -> None:
    templates = Templates.load()
    for name, flow in discover_flows().items():
        templates.check(name, flow.settings_model)
    templates.check_people()


def test_no_module_is_a_drawer() -> None:
    for path in ROOT.glob("*/**/*.py"):
        if ".venv" not in path.parts:
            assert path.stem not in DRAWERS, f"{path.relative_to(ROOT)}: name it for what it does"


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, f"runtime/settings.py: {name} has no description"
