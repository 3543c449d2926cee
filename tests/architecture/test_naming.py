"""Names follow one scheme, on the wire and on disk."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

from temporalio import activity

from emails.templates import Templates
from runtime.settings import Settings
from workflows.discovery import discover_flows

ROOT = Path(__file__).parents[2]
DRAWERS = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}


def test_activities_are_named_capability_dot_verb() -> None:
    modules = [import_module(f"activities.{path.stem}") for path in (ROOT / "activities").glob("*.py")]
    holders = [holder for module in modules for _, holder in inspect.getmembers(module, inspect.isclass)]
    methods = [method for holder in holders for _, method in inspect.getmembers(holder, inspect.isfunction)]
    names = {found.name for method in methods if (found := activity._Definition.from_callable(method)) is not None}
    assert {"email.send", "approval.ask"} <= names
    assert [name for name in names if not re.fullmatch(r"[a-z_]+\.[a-z_]+", str(name))] == []


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
