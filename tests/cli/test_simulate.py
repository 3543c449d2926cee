"""`cauce simulate`: the same contacts live the same lives, and what comes of it is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.simulated import difference_lines
from rehearsal.behaviour import Behaviour
from rehearsal.funnel import Report
from rehearsal.revision import ROOT
from rehearsal.simulation import Asked, message_types, simulate
from tests.cli.conftest import Said
from tests.cli.processes import COMMAND
from tests.cli.test_commands import told
from workflows.reactivation import Reactivation

Cauce = Callable[..., Said]


@pytest.fixture
def behaviour(tmp_path: Path) -> Path:
    """Everyone activates on the second day."""
    path = tmp_path / "second-day.toml"
    path.write_text('[events.activated]\nprobability = 1\nafter = ["P1D", "P2D"]\n')
    return path


def test_it_says_goal_exits_messages_and_the_funnel(cauce: Cauce, env: dict[str, str], behaviour: Path) -> None:
    said = cauce("simulate", "onboarding", "--contacts", "10", "--behaviour", str(behaviour), env=env)
    assert said.status == 0
    assert "onboarding: 10 contacts, seed 1" in said.stdout
    assert "activated within 14 days: 100.0% (72.2% to 100.0%); the target of 40.0% is met" in said.stdout
    assert "10 goal" in said.stdout
    assert "1.00 for each contact: 10 got 1" in said.stdout
    rows = {
        line.split()[0]: line.split() for line in said.stdout.splitlines() if line.startswith("  ") and line.strip()
    }
    assert rows["welcome"] == ["welcome", "10", "100.0%", "10", "sent"]
    assert rows["activated"] == ["activated", "10", "100.0%", "10", "goal"]
    assert "behaviour: the default" not in said.stdout
    assert said.stderr == ""


def test_the_same_seed_prints_the_same_and_another_seed_does_not(cauce: Cauce, env: dict[str, str]) -> None:
    first, again, other = (
        cauce("simulate", "onboarding", "--contacts", "6", "--seed", seed, env=env).stdout for seed in ("4", "4", "5")
    )
    assert first == again
    assert first != other


def test_another_process_prints_the_same(cauce: Cauce, env: dict[str, str]) -> None:
    words = ("simulate", "onboarding", "--contacts", "3", "--json")
    process = subprocess.run(
        [*COMMAND, *words],
        env={**env, "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.stdout == cauce(*words, env=env).stdout


def test_the_default_behaviour_is_printed(cauce: Cauce, env: dict[str, str]) -> None:
    said = cauce("simulate", "onboarding", "--contacts", "1", env=env)
    assert (ROOT / "rehearsal/behaviour.toml").read_text() in said.stdout


def test_it_says_what_people_of_the_team_had_to_do(cauce: Cauce, env: dict[str, str], behaviour: Path) -> None:
    behaviour.write_text(
        """
[people]
accept = { probability = 1, after = ["PT10M", "PT10M"] }
done = { probability = 1, after = ["PT1H", "PT1H"] }
[roles.sales]
count = 2
"""
    )
    words = ("simulate", "lead_assignment", "--contacts", "4", "--behaviour", str(behaviour))
    lines = cauce(*words, env=env).stdout.splitlines()
    assert "  tasks     4 given: 4 done" in lines
    assert "            rep-1: 2 offered, 2 accepted" in lines
    assert any(line.startswith("  leads     4 accepted, half of them within ") for line in lines)


def test_json_tells_each_contacts_story(cauce: Cauce, env: dict[str, str], behaviour: Path) -> None:
    words = ("simulate", "onboarding", "--contacts", "3", "--behaviour", str(behaviour), "--json")
    document = json.loads(cauce(*words, "--set", "hand_after=PT1H", env=env).stdout)
    assert document["asked"]["settings"] == {"hand_after": "PT1H"}
    assert [story["steps"] for story in document["stories"]] == [
        {"welcome": "sent", "activated": "no", "need-a-hand": "sent"}
    ] * 3
    assert document["reached_goal"]["share"] == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("onbording",), "there is no flow onbording, only "),
        (("onboarding", "--set", "tip_aftr=P1D"), "--set tip_aftr: "),
        (("onboarding", "--set", "tip_after=soon"), "--set tip_after: "),
        (("onboarding", "--set", "tip_after"), "expected name=value"),
        (("reactivation", "--set", "signs_of_life=[opened]"), "--set signs_of_life: a list or an object is given as"),
        (("onboarding", "--behaviour", "nowhere.toml"), "nowhere.toml: No such file"),
        (("onboarding", "--compare", "no-such-revision"), "--compare"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(cauce: Cauce, env: dict[str, str], words: tuple[str, ...], line: str) -> None:
    assert line in told(cauce("simulate", *words, env=env))


def test_settings_of_several_parts_are_given_as_json(cauce: Cauce, env: dict[str, str]) -> None:
    words = ("simulate", "reactivation", "--contacts", "1", "--json", "--set", 'signs_of_life=["opened_app"]')
    document = json.loads(cauce(*words, env=env).stdout)
    assert document["asked"]["settings"] == {"signs_of_life": ["opened_app"]}


def test_a_bad_behaviour_file_is_told_with_its_key(cauce: Cauce, env: dict[str, str], behaviour: Path) -> None:
    behaviour.write_text(behaviour.read_text().replace("1", "7", 1))
    line = told(cauce("simulate", "onboarding", "--behaviour", str(behaviour), env=env))
    assert "second-day.toml: events.activated.probability: 7: input should be less than or equal to 1" in line


def test_compare_says_what_else_people_have_to_do() -> None:
    rich = Behaviour.model_validate({"attributes": {"lifetime_value_cents": {"500000": 1}}})

    def limit(per_cent: int) -> Report:
        asked = Asked(flow="reactivation", contacts=2, seed=1, settings={"approval_over": per_cent})
        stories = simulate(asked, Reactivation, message_types("reactivation"), rich)
        return Report.of(asked, Reactivation.about.goal, stories)

    lines = list(difference_lines(limit(20), limit(30), "HEAD"))
    assert "  approvals 2 expired there, none here" in lines
    assert not [line for line in lines if line.lstrip().startswith(("handed", "tasks", "leads"))]


def test_compare_says_what_differs_from_a_revision(env: dict[str, str], tmp_path: Path, behaviour: Path) -> None:
    project = tmp_path / "project"
    skipped = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "bench")
    shutil.copytree(ROOT, project, ignore=skipped)
    names = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
    here = {**env, "PYTHONPATH": str(project), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for order in (["init", "--quiet"], ["add", "--all"], [*names, "commit", "--quiet", "--message", "as it was"]):
        subprocess.run(["git", *order], cwd=project, env=here, check=True, capture_output=True)
    flow = project / "workflows/onboarding.py"
    flow.write_text(
        flow.read_text().replace(
            'await self.send("welcome")', 'await self.send("welcome")\n        self.finish("short")'
        )
    )
    words = ("simulate", "onboarding", "--contacts", "4", "--behaviour", str(behaviour), "--compare", "HEAD")
    done = subprocess.run([*COMMAND, *words], cwd=project, env=here, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "compared with HEAD, for the same contacts:" in done.stdout
    assert "4 goal there, 4 completed here" in done.stdout
    assert "4 of 4 contacts end otherwise, such as" in done.stdout
    assert "contact 1: goal at activated there, completed at short here" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["activated", "4", "-", "-4", "4", "goal"] in rows
