"""A project of its own, anywhere, that installs Cauce: pytest finds the fixture, the harness finds the flow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.emails.project import BODY, FOOTER
from tests.topics import topics_toml

FLOW = '''
from __future__ import annotations
from datetime import timedelta
from temporalio import workflow
from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from workflows.flow import Flow

class WinbackSettings(FlowSettings):
    """None."""

@workflow.defn(name="winback")
class Winback(Flow[WinbackSettings]):
    about = FlowType(
        title="Win back",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="sales",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"clicked"}),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.send("we-miss-you")
        if not await self.happened("clicked", within=timedelta(days=3)):
            self.finish("silent")
        await self.wait("a-year", timedelta(days=365))
'''
TEST = """
from pathlib import Path
import pytest
from domain.contacts import ContactProfile
from emails.templates import Templates
from acme.winback import Winback

EMAILS = Templates.load(Path(__file__).parent / "emails")
bea = ContactProfile(email="bea@example.com", first_name="Bea")

@pytest.mark.asyncio
async def test_silence(journey):
    async with journey(Winback, contact=bea, templates=EMAILS) as j:
        await j.travel(days=3)
        assert (await j.outcome()).step == "silent"
        assert j.inbox().subjects == ["We miss you, Bea"]

@pytest.mark.asyncio
async def test_a_click(journey):
    async with journey(Winback, contact=bea, templates=EMAILS) as j:
        await j.click()
        await j.travel(days=100)
        assert j.inbox().steps == ["we-miss-you", "not-this"]
"""


def test_a_test_outside_the_project_uses_the_fixture(tmp_path: Path) -> None:
    message = tmp_path / "emails/winback/we-miss-you"
    files = {
        tmp_path / "acme/__init__.py": "",
        tmp_path / "acme/winback.py": FLOW,
        tmp_path / "test_winback.py": TEST,
        tmp_path / "emails/layout/en/footer.mjml": FOOTER,
        tmp_path / "emails/topics.toml": topics_toml("winback"),
        message / "message.toml": 'class = "relationship"\ntopic = "winback"\n',
        message / "en/subject.txt": "We miss you, {{ contact.first_name }}\n",
        message / "en/body.mjml": BODY.replace("LOCALE", "en"),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "in winback, the contact is at a-year, waiting until" in done.stdout
    assert "went through: we-miss-you: sent, clicked: yes" in done.stdout
