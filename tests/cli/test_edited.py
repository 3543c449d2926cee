"""One machine: a flow is edited and `cauce up` started again, with contacts inside."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.kept_code import PACKAGES, PROJECT
from tests.cli.processes import Up, eventually

RESTING = {"hand_after": "PT1S", "tip_after": "P7D"}
FLOW = "workflows/onboarding.py"
EDIT = {
    'await self.send("welcome")': 'await self.send("hello")\n        await self.send("welcome")',
    'await self.wait("time-to-try", self.settings.tip_after)': 'await self.wait("time-to-practise", timedelta(0))',
    '        owner="customer success",\n': (
        '        owner="customer success",\n        renamed={"time-to-try": "time-to-practise"},\n'
    ),
}
"""Inserts a step upstream of where the contact waits; renames that wait and gives it no time."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the packages, to be edited."""
    folder = tmp_path / "project"
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def up(project: Path, tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path, PYTHONPATH=str(project)) as up:
        up.until_ready()
        yield up


def edit(project: Path, changes: dict[str, str]) -> None:
    source = (project / FLOW).read_text()
    for old, new in changes.items():
        assert old in source
        source = source.replace(old, new)
    (project / FLOW).write_text(source)
    hello = project / "emails/onboarding/hello"
    if not hello.exists():
        shutil.copytree(project / "emails/onboarding/welcome", hello)


def restart(up: Up) -> None:
    assert up.end_by(signal.SIGTERM) == 0
    up.start()
    up.until_ready()
    up.until_said("is current")


def contact(up: Up, number: int) -> dict[str, Any]:
    """Enrolled, and waiting at time-to-try."""
    body = {"contact": {"email": f"c{number}@example.com"}, "settings": RESTING}
    enrolled = httpx.post(f"{up.api_url}/v1/flows/onboarding/enrollments", json=body, trust_env=False).json()
    eventually("the contact waits", lambda: where(up, enrolled)["step"] == "time-to-try")
    return dict(enrolled)


def where(up: Up, enrollment: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.get(f"{up.api_url}/v1/enrollments/{enrollment['id']}", trust_env=False, timeout=20)
    return dict(answer.json())


def mails(up: Up, enrollment: dict[str, Any]) -> list[str]:
    url = f"{up.api_url}/v1/messages?enrollment_id={enrollment['id']}"
    messages = httpx.get(url, trust_env=False).json()["items"]
    return sorted(message["step"] for message in messages if message["status"] == "sent")


def test_contacts_follow_an_edit_to_the_new_code(up: Up, project: Path) -> None:
    enrolled = contact(up, 1)
    edit(project, EDIT)
    restart(up)
    assert "1 of 1 contacts who were behind have moved" in up.output
    eventually("the contact goes on", lambda: where(up, enrolled)["step"] == "check-in-day")
    assert where(up, enrolled)["skipped_steps"] == ["hello"]
    assert mails(up, enrolled) == ["need-a-hand", "training-tip", "welcome"]


def test_pinned_contacts_finish_on_the_code_that_they_started_with(up: Up, project: Path) -> None:
    enrolled = contact(up, 1)
    edit(project, {**EDIT, "on_edit=OnEdit.FOLLOW": "on_edit=OnEdit.PIN"})
    restart(up)
    assert "contacts finish on the version that they started with" in up.output
    assert where(up, enrolled)["step"] == "time-to-try", "answered by the kept code's own worker"
    newcomer = httpx.post(
        f"{up.api_url}/v1/flows/onboarding/enrollments",
        json={"contact": {"email": "new@example.com"}, "settings": RESTING},
        trust_env=False,
    ).json()
    eventually("newcomers get the new code", lambda: "hello" in mails(up, newcomer))
    goal = {"email": "c1@example.com", "name": "activated"}
    assert httpx.post(f"{up.api_url}/v1/events", json=goal, trust_env=False).status_code == 202
    eventually("the goal is reached", lambda: where(up, enrolled)["status"] == "ended")
    assert where(up, enrolled)["outcome"]["exit"] == "goal"
    assert mails(up, enrolled) == ["need-a-hand", "welcome"]


def test_an_edit_reaches_nobody_before_the_restart(up: Up, project: Path) -> None:
    edit(project, EDIT)
    enrolled = contact(up, 1)
    assert mails(up, enrolled) == ["need-a-hand", "welcome"]
    up.children()["worker"].kill()
    up.until_said("… ready again")
    another = contact(up, 2)
    assert mails(up, another) == ["need-a-hand", "welcome"]
