"""The pages of flows say what the code says, and a page that does not is named with its mend."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from domain.triggers import Trigger
from inspection.pages import stale_pages, write_pages
from tests.cli.conftest import Said, cauce, env
from tests.flows import specimens
from workflows.discovery import discover_flows
from workflows.onboarding import Onboarding

ROOT = Path(__file__).parents[2]
FLOWS = sorted(discover_flows())
__all__ = ["cauce", "env"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with our flows and messages, and its pages written."""
    (tmp_path / "emails").symlink_to(ROOT / "emails")
    write_pages(tmp_path)
    return tmp_path


def test_our_pages_are_what_the_flows_say() -> None:
    assert [str(fault) for fault in stale_pages(ROOT)] == []


def test_written_pages_are_current(project: Path) -> None:
    assert stale_pages(project) == []
    assert write_pages(project) == []


def test_a_page_tells_what_people_ask(project: Path) -> None:
    page = (project / "docs/flows/onboarding.md").read_text()
    for told in (
        "# Onboarding: from welcome to first success",
        "| goal | `activated`: 40% within 14 days |",
        "| owner | customer success |",
        "| after an edit | contacts inside move on to the new code, at their present step |",
        "| enrolls again | once the last enrollment has ended |",
        "| `hand_after` | 3 days | offer a hand if",
        "[welcome](../../emails/onboarding/welcome/): relationship, topic onboarding",
        "| `time-to-try` | waits 7 days (tip_after) |",
        "| `unsubscribed` | at once, when `unsubscribed` arrives |",
        "| `completed` | the journey came to `series-sent` |",
        "```mermaid\nflowchart TD\n",
        "by `cauce flows pages`",
    ):
        assert told in page
    assert "[onboarding](onboarding.md)" in (project / "docs/flows/README.md").read_text()


@pytest.mark.parametrize(
    ("flow", "facts"),
    [
        (
            "nurturing",
            (
                "| hands over to | [lead_assignment](lead_assignment.md) when the goal is reached and at `to-sales` |",
                "one of [growth-1](../../emails/nurturing/growth-1/), [growth-2](../../emails/nurturing/growth-2/), ",
                "| `goal` | at once, when `demo_requested` arrives; then `lead_assignment` takes the contact over |",
            ),
        ),
        (
            "reactivation",
            (
                "| goal | `bought`, or one of `visited`, `logged_in`, `clicked`, `replied` (setting `signs_of_life`): ",
                "| enrolls by itself | each day at 06:00 UTC, up to 500 contacts who did nothing for 90 days",
                "| `approval` | any sales_manager; reminded every day, expires after 3 days |",
                "| `signs_of_life` | visited, logged_in, clicked, replied |",
            ),
        ),
        ("lead_assignment", ("gives the lead's owner the task “Call the lead and offer a meeting”, and waits 1 day",)),
    ],
)
def test_a_page_tells_who_takes_over_who_is_asked_and_who_enrolls(
    project: Path, flow: str, facts: tuple[str, ...]
) -> None:
    page = (project / f"docs/flows/{flow}.md").read_text()
    assert [fact for fact in facts if fact not in page] == []


def test_a_page_tells_what_enrolls_contacts_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = (
        Trigger(event="signed_up"),
        Trigger(event="clicked", times=3, within=timedelta(days=7), reenroll="never"),
        Trigger(segment="quiet customers", reenroll=timedelta(days=30)),
    )
    monkeypatch.setattr(Onboarding, "about", Onboarding.about.model_copy(update={"triggers": declared}))
    (tmp_path / "emails").symlink_to(ROOT / "emails")
    write_pages(tmp_path)
    told = (
        "| enrolls after | signed_up; clicked 3 times within 7 days, whoever was never in it; "
        "entering the segment quiet customers, whoever did not end it within 30 days |"
    )
    assert told in (tmp_path / "docs/flows/onboarding.md").read_text()


def test_stale_missing_and_left_pages_are_named_with_their_mend(project: Path) -> None:
    folder = project / "docs/flows"
    page = folder / "onboarding.md"
    (folder / "gone.md").write_text(page.read_text())
    (folder / "by-hand.md").write_text("# Ours\n")
    page.write_text(page.read_text().replace("customer success", "sales"))
    (folder / "README.md").unlink()
    mend = "run `cauce flows pages`"
    assert [str(fault) for fault in stale_pages(project)] == [
        f"docs/flows/README.md:1: is missing: {mend}",
        f"docs/flows/onboarding.md:11: is not what the flow's code says: {mend}",
        f"docs/flows/gone.md:1: belongs to no flow: {mend}",
    ]
    write_pages(project)
    assert stale_pages(project) == []
    assert {path.name for path in folder.iterdir()} == {"README.md", "by-hand.md", *(f"{flow}.md" for flow in FLOWS)}


def test_flows_of_any_shape_have_a_page(tmp_path: Path) -> None:
    (tmp_path / "emails").mkdir()
    write_pages(tmp_path, specimens)
    pages = {path.stem: path.read_text() for path in (tmp_path / "docs/flows").iterdir()}
    assert set(pages) >= {"README", "nurturing", "replies", "marathon", "drip"}
    assert "| `reminder-{week}` | sends the email reminder | reminder: missing or faulty |" in pages["nurturing"]
    assert "the journey came to `interested` or its last step" in pages["nurturing"]
    assert "None." in pages["replies"]


def test_pages_are_the_same_in_every_process(project: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from inspection.pages import write_pages; write_pages(Path(sys.argv[1]))"
    )
    written = {path.name: path.read_bytes() for path in (project / "docs/flows").iterdir()}
    for seed in ("1", "2"):
        for path in (project / "docs/flows").iterdir():
            path.unlink()
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": "C", "TZ": "Pacific/Chatham"}
        subprocess.run([sys.executable, "-c", code, str(project)], cwd=ROOT, env=environment, check=True, timeout=60)
        assert {path.name: path.read_bytes() for path in (project / "docs/flows").iterdir()} == written


def test_commands_draw_and_check(cauce: Callable[..., Said], env: dict[str, str], tmp_path: Path) -> None:
    drawn = cauce("flows", "diagram", "onboarding", env=env)
    assert drawn.status == 0
    assert drawn.stdout.startswith("flowchart TD\n")
    file = tmp_path / "onboarding.svg"
    assert cauce("flows", "diagram", "onboarding", "--format", "svg", "--output", str(file), env=env).stdout == ""
    assert file.read_text().startswith("<svg ")
    assert cauce("flows", "diagram", "onboarding", "--format", "svg", env=env).stdout == file.read_text()
    assert cauce("flows", "pages", "--check", env=env).status == 0


def test_an_unknown_flow_and_a_bad_file_are_told(
    cauce: Callable[..., Said], env: dict[str, str], tmp_path: Path
) -> None:
    unknown = cauce("flows", "diagram", "onbording", env=env)
    told = f"cauce: there is no flow onbording: name one of {', '.join(FLOWS)}\n"
    assert (unknown.status, unknown.stderr) == (1, told)
    nowhere = cauce("flows", "diagram", "onboarding", "--output", str(tmp_path / "no" / "file"), env=env)
    assert nowhere.status == 1
    assert "name another file" in nowhere.stderr
