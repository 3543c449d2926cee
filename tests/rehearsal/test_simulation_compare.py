"""Another revision of the project is simulated on the same contacts, or it is told why that cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from domain.flows import Goal
from rehearsal.behaviour import DEFAULT_BEHAVIOUR, Behaviour
from rehearsal.funnel import Report, changed, paired_steps
from rehearsal.revision import FORMAT, ROOT, Revision
from rehearsal.simulation import Asked, CannotSimulate, message_types, simulate
from workflows.onboarding import Onboarding

PACKAGES = ("activities", "domain", "emails", "integrations", "rehearsal", "runtime", "store", "workflows")
ASKED = Asked(flow="onboarding", contacts=6, seed=3)
BEHAVIOUR = Behaviour.read(DEFAULT_BEHAVIOUR)


class Repository:
    """A git repository of a test's own, which no configuration of this machine's user reaches."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> None:
        names = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        subprocess.run(["git", *names, *words], cwd=self.root, env=env, check=True, capture_output=True)

    def commit(self, tag: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", tag)
        self.git("tag", tag)

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture
def project(repository: Repository) -> Repository:
    """This project as it is now, committed as `now`."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, repository.root / package, ignore=shutil.ignore_patterns("__pycache__"))
    repository.commit("now")
    return repository


@cache
def here() -> Report:
    stories = simulate(ASKED, Onboarding, message_types("onboarding"), BEHAVIOUR)
    return Report.of(ASKED, Onboarding.about.goal, stories)


def there(repository: Repository, revision: str, asked: Asked = ASKED) -> Report:
    with Revision(revision, asked, BEHAVIOUR, repository.root) as other:
        return other.report()


def test_the_same_code_gives_the_same_report(project: Repository) -> None:
    assert there(project, "now") == here()


def test_an_edited_flow_is_met_by_the_same_contacts(project: Repository) -> None:
    project.edit("workflows/onboarding.py", '        await self.send("check-in")\n', "")
    project.edit("workflows/onboarding.py", "target=0.4", "target=0.5")
    project.commit("without-check-in")
    project.edit("workflows/onboarding.py", 'self.finish("series-sent")', 'self.finish("nothing-committed")')
    old, new = there(project, "without-check-in"), here()
    assert (old.goal.target, new.goal.target) == (0.5, 0.4)
    assert [story.persona for story in old.stories] == [story.persona for story in new.stories]
    assert [story.steps["activated"] for story in old.stories if "activated" in story.steps] == [
        story.steps["activated"] for story in new.stories if "activated" in story.steps
    ]
    assert old.messages_mean < new.messages_mean
    assert changed(old, new) == []
    (row,) = [row for row in paired_steps(old, new) if row[0] == "check-in"]
    assert row[1] is None
    assert row[2] is not None


def test_contacts_who_end_otherwise_are_found_by_number(project: Repository) -> None:
    project.edit("workflows/onboarding.py", 'self.finish("series-sent")', 'self.finish("all-done")')
    project.commit("renamed-end")
    old, new = there(project, "renamed-end"), here()
    completed = [story.number for story in new.stories if story.exit == "completed"]
    found = changed(old, new)
    assert [each.number for each in found] == completed
    assert {(each.before, each.after) for each in found} == {("completed at all-done", "completed at series-sent")}


def test_a_renamed_step_is_the_same_step() -> None:
    new = here()
    steps = {"check-in-day": "day-14", "series-sent": "all-done"}
    old = new.with_present_names(steps)
    assert changed(old, new) != []
    assert changed(old.with_present_names({name: step for step, name in steps.items()}), new) == []


def test_a_flow_that_is_not_there_is_told(project: Repository) -> None:
    (project.root / "workflows/onboarding.py").rename(project.root / "workflows/welcoming.py")
    project.edit("workflows/welcoming.py", 'name="onboarding"', 'name="welcoming"')
    project.commit("renamed")
    with pytest.raises(CannotSimulate, match=r"revision renamed: there is no flow onboarding: it has .*welcoming"):
        there(project, "renamed")


def test_a_flow_that_gets_no_further_there_is_told(project: Repository) -> None:
    project.edit("workflows/onboarding.py", 'await self.send("welcome")', 'await self.send("velcome")')
    project.commit("slip")
    with pytest.raises(CannotSimulate, match=r"revision slip: onboarding: contact 1 gets no further: .*velcome"):
        there(project, "slip")


def test_code_that_does_not_even_start_is_told(project: Repository) -> None:
    project.edit("workflows/onboarding.py", "from __future__", "from __past__")
    project.commit("broken")
    with pytest.raises(CannotSimulate, match=r"revision broken does not come to a result: .*__past__"):
        there(project, "broken")


def test_another_kind_of_simulator_is_told(project: Repository) -> None:
    project.edit("rehearsal/revision.py", f"FORMAT = {FORMAT}", "FORMAT = 99")
    project.commit("later")
    with pytest.raises(CannotSimulate, match="revision later simulates in another way"):
        there(project, "later")


def test_a_revision_from_before_the_simulator_is_told(repository: Repository) -> None:
    (repository.root / "README.md").write_text("Cauce\n")
    repository.commit("first")
    with pytest.raises(
        CannotSimulate, match=r"revision first is too old to simulate: it has no rehearsal/revision\.py"
    ):
        there(repository, "first")


@pytest.mark.parametrize("revision", ["nowhere", "--output=/tmp/x", "", "main:README.md"])
def test_an_unknown_revision_is_told(repository: Repository, revision: str) -> None:
    repository.commit("first")
    with pytest.raises(CannotSimulate, match="no such revision here: see `git log --oneline`"):
        there(repository, revision)


def test_a_project_outside_of_git_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotSimulate, match="needs a git repository"), Revision("HEAD", ASKED, BEHAVIOUR, tmp_path):
        pass


def test_a_machine_without_git_is_told(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository.root))
    with pytest.raises(CannotSimulate, match="needs git, which is not on the PATH"):
        there(repository, "HEAD")


def test_a_settings_default_of_each_revision_is_its_own(project: Repository) -> None:
    project.edit("workflows/onboarding.py", "timedelta(days=3)", "timedelta(days=30)")
    project.commit("patient")
    old, new = there(project, "patient"), here()
    assert Goal.model_validate(old.goal) == new.goal
    times = [story.ended_after for story in old.stories if story.exit == "completed"]
    assert min(times) > max(story.ended_after for story in new.stories if story.exit == "completed")
