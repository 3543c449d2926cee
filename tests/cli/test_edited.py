"""One machine: a flow is edited and `cauce up` started again, with contacts inside."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.edited_project import EDIT, RESTING, contact, copy_packages, edit, mails, where
from tests.cli.processes import Up, eventually


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_packages(tmp_path / "project")


@pytest.fixture
def up(project: Path, tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path, PYTHONPATH=str(project)) as up:
        up.until_ready()
        yield up


def restart(up: Up) -> None:
    assert up.end_by(signal.SIGTERM) == 0
    up.start()
    up.until_ready()
    up.until_said("onboarding … build")


def test_an_edit_reaches_nobody_before_the_restart_and_contacts_who_follow_after_it(up: Up, project: Path) -> None:
    enrolled = contact(up, 1)
    edit(project, EDIT)
    another = contact(up, 2)
    assert mails(up, another) == ["need-a-hand", "welcome"]
    up.children()["worker"].kill()
    up.until_said("… ready again")
    newcomer = contact(up, 3)
    assert mails(up, newcomer) == ["need-a-hand", "welcome"]
    restart(up)
    assert "3 of 3 contacts who were behind have moved" in up.output
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
