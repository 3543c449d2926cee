"""A new flow from a few words: what the words mean, what is written, and what is refused."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.blueprint import checked_flow_name, drawn_up, each
from cli.failures import CommandFailed
from cli.main import app
from cli.new_flow import PLACES, STEPS, Given, new_flow, write
from cli.scaffolding import scaffolded
from cli.steps_language import EXAMPLE, event_name, read_steps
from domain.flows import OnEdit
from emails.topics import Topics
from inspection.checks import RULES, check_flow
from inspection.layout import Layout
from inspection.record_rules import flow_has_histories
from tests.cli.conftest import Said
from tests.project_copy import ROOT, contents, copy_project, running_from

GOAL = "activated"
NOBODYS = "never_written"
"""A flow that this project has not, whatever else it has."""
STORIES = [
    (
        "welcome, wait 3 days, tip",
        """
        await self.send("welcome")
        await self.wait("after-welcome", self.settings.tip_after)
        await self.send("tip")
        self.finish("series-sent")
        """,
    ),
    (
        EXAMPLE,
        """
        await self.send("guide")
        if await self.happened("clicked", within=self.settings.clicked_within):
            await self.send("case-study")
        else:
            await self.send("reminder")
        await self.wait("before-last-call", self.settings.last_call_after)
        await self.send("last-call")
        self.finish("series-sent")
        """,
    ),
    (
        "Welcome, activated within a week? : need a hand, not opened within 1 day 12 hours? reminder, wait 2 days",
        """
        await self.send("welcome")
        if not await self.happened("activated", within=self.settings.activated_within):
            await self.send("need-a-hand")
        if not await self.happened("opened", within=self.settings.opened_within):
            await self.send("reminder")
        await self.wait("time-to-decide", self.settings.pause_time_to_decide)
        self.finish("series-sent")
        """,
    ),
    (
        "guide, clicked within 3 days? (demo, wait 1 day, clicked within 2 days? pricing) : (wait 1 hour, nudge)",
        """
        await self.send("guide")
        if await self.happened("clicked", within=self.settings.clicked_within):
            await self.send("demo")
            await self.wait("after-demo", self.settings.pause_after_demo)
            if await self.happened("clicked-demo", event="clicked", within=self.settings.clicked_demo_within):
                await self.send("pricing")
        else:
            await self.wait("before-nudge", self.settings.nudge_after)
            await self.send("nudge")
        self.finish("series-sent")
        """,
    ),
    (
        "series-sent, demo_requested within 2 weeks? model, wait 90 minutes, demo-requested",
        """
        await self.send("series-sent")
        if await self.happened(
            "demo-requested-series-sent",
            event="demo_requested",
            within=self.settings.demo_requested_series_sent_within,
        ):
            await self.send("model")
        await self.wait("before-demo-requested", self.settings.demo_requested_after)
        await self.send("demo-requested")
        self.finish("series-sent-2")
        """,
    ),
    (
        "Offer, approved by sales_manager within 3 days? (big-offer, lifecycle offered) : small-offer, score +10, "
        "score -5, task call the customer for sales within 2 days, task for sales within 1 day, "
        "hand over to lead_assignment",
        """
        await self.send("offer")
        if (await self.ask("approve-big-offer", "Send big-offer", plan=self.settings.approve_big_offer_by)).approved:
            await self.send("big-offer")
            await self.set_lifecycle("lifecycle-offered", "offered")
        else:
            await self.send("small-offer")
        await self.change_score("score", 10)
        await self.change_score("score-2", -5)
        await self.task(
            "call-the-customer", "Call the customer", to=Asked(role="sales"), due=self.settings.call_the_customer_within
        )
        await self.task(
            "task-for-sales",
            "See what this contact needs",
            to=Asked(role="sales"),
            due=self.settings.task_for_sales_within,
        )
        await self.hand_over("to-lead-assignment", "lead_assignment")
        self.finish("series-sent")
        """,
    ),
    (
        "guide, not approve by legal within 1 week? reminder, approved by legal within 1 day? : (tip, approval)",
        """
        await self.send("guide")
        if not (await self.ask("approval-2", "Go on after guide", plan=self.settings.approval_2_by)).approved:
            await self.send("reminder")
        if not (await self.ask("approval-3", "Go on", plan=self.settings.approval_3_by)).approved:
            await self.send("tip")
            await self.send("approval")
        self.finish("series-sent")
        """,
    ),
]


def files_of(steps: str, on_edit: OnEdit = OnEdit.FOLLOW) -> dict[str, str]:
    story = read_steps(steps, GOAL)
    return scaffolded(drawn_up("win_back", "Win back who's gone", GOAL, "marketing", on_edit, story))


@pytest.mark.parametrize(("steps", "told"), STORIES, ids=[steps for steps, _ in STORIES])
def test_steps_become_a_story(steps: str, told: str) -> None:
    source = files_of(steps)["workflows/win_back.py"]
    journey = ast.parse(source).body[-1].body[-1].body  # type: ignore[attr-defined]
    wanted = ast.parse(f"async def journey(self):{told}").body[0].body  # type: ignore[attr-defined]
    assert [ast.unparse(node) for node in journey] == [ast.unparse(node) for node in wanted]


def test_what_people_of_the_team_read_is_there_to_be_said_in_other_languages() -> None:
    steps = (
        "tip, approved by sales within 1 day? offer, task call them for sales within 1 day, task for sales within 1 day"
    )
    words = files_of(steps)["emails/win_back/words.toml"]
    assert tomllib.loads(words) == {"es": {}}
    assert tomllib.loads(words.replace("# ", "").partition("\n\n")[2])["es"] == {
        "Win back who's gone": "",
        "Send offer": "",
        "Call them": "",
        "See what this contact needs": "",
    }
    assert "emails/win_back/words.toml" not in files_of(EXAMPLE)


def test_a_new_flow_describes_a_topic_of_its_own_which_nobody_has_agreed_to_yet(tmp_path: Path) -> None:
    write(files_of("tip, wait 1 day, offer"), in_the_project(tmp_path).root)
    topics = Topics.load(tmp_path / "emails")
    assert list(topics) == ["win_back"]
    topic = topics["win_back"]
    assert (topic.purpose, topic.en.title, topic.public) == ("Win back who's gone", "Win back who's gone", False)
    assert topic.en.agreement != topic.es.agreement
    kinds = [path.read_text() for path in tmp_path.glob("emails/win_back/*/message.toml")]
    assert len(kinds) == 2
    assert all('topic = "win_back"' in kind for kind in kinds)


def test_a_topic_that_is_described_already_is_not_described_again() -> None:
    blueprint = drawn_up("offers", "Offers", GOAL, "marketing", OnEdit.FOLLOW, read_steps("tip, wait 1 day", GOAL))
    assert "emails/offers/topics.toml" not in scaffolded(blueprint, {"offers"})
    assert "emails/offers/topics.toml" in scaffolded(blueprint, {"newsletter"})


WRONG = [
    ("", "it ends where a step should be"),
    ("welcome", "nobody waits in it"),
    ("wait 3 days", "no message is sent"),
    ("welcome, wait", "nothing is no duration"),
    ("welcome, 3 days, tip", "write wait 3 days"),
    ("welcome, pause 3 days, tip", "write wait 3 days"),
    ("welcome, wait 3 months, tip", "3 months is no duration: write a number and minutes, hours, days, weeks"),
    ("welcome, wait 0 days, tip", "wait between a minute and 730 days"),
    ("welcome, wait 3000 days, tip", "wait between a minute and 730 days"),
    ("welcome, wait 1 day, wait 2 days, tip", "two waits follow each other"),
    ("tip, wait 1 day, tip", "tip comes twice: give the second a name of its own, such as tip-2"),
    ("2nd, wait 1 day", "begin it with a letter"),
    ("entering, wait 1 day", "name it otherwise"),
    (f"{'very ' * 9}long, wait 1 day", "name it in 40 characters or less"),
    ("tip,, wait 1 day", ", stands where a step should"),
    ("tip: wait 1 day", ": stands where a step should"),
    ("tip, (wait 1 day)", "( stands where a step should"),
    ("tip, clicked within 1 day, offer", "ask with a question mark"),
    ("tip, clicked? offer", "say how long: clicked within 3 days?"),
    ("tip, clicked within soon? offer", "soon is no duration"),
    ("tip, clicked within 1 day?", "has no answer"),
    ("tip, clicked within 1 day? (offer", "close it by )"),
    ("tip, clicked within 1 day? opened within 1 day? offer", "put it in brackets"),
    ("tip, Demo Requested within 1 day? offer", "write demo_requested"),
    ("tip, unsubscribed within 1 day? offer", "unsubscribed ends every enrollment at once"),
    ("tip, activated within 1 day? offer", "activated is the goal"),
    ("tip, lead_offered within 1 day? offer", "lead_offered is what Cauce tells a lead in the queue"),
    ("tip, score +10, lifecycle rested", "nobody waits in it"),
    ("tip, approved by sales", "ask with a question mark: approved by sales within 3 days?"),
    ("tip, approved by sales within 3 days", "ask with a question mark: approved by sales within 3 days?"),
    ("tip, approved by sales? offer", "say how long: approved by sales within 3 days?"),
    (
        "tip, approved by Sales Managers within 1 day? offer",
        "no name of a role, which is in snake_case: write sales_man",
    ),
    ("tip, task call them for sales", "is never due: say when: task call them for sales within 2 days"),
    ("tip, task for sales within soon", "soon is no duration"),
    ("tip, task call for sales within 1 day? offer", "is a task, and no question: leave the question mark out"),
    ('tip, task say "hi" for sales within 1 day', "without quotes and backslashes"),
    (f"tip, task {'very ' * 9}long for sales within 1 day", "in 40 characters or less"),
    (
        "tip, wait 1 day, lifecycle Sales accepted",
        "no name of a lifecycle stage, which is in snake_case: write sales_acc",
    ),
    ("tip, wait 1 day, hand over to ../sales", "no name of a flow, which is in snake_case: write sales"),
    (", ".join(f"tip-{number}, wait 1 day" for number in range(30)), "60 steps are too many"),
]


@pytest.mark.parametrize(("steps", "told"), WRONG, ids=[told for _, told in WRONG])
def test_steps_that_cannot_be_are_refused_with_the_mend(steps: str, told: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        read_steps(steps, GOAL)
    assert told in str(refused.value)


NAMES = (
    "clicked",
    "model",
    "after-clicked",
    "series-sent",
    "before-model",
    "clicked-model",
    "time-to-decide",
    "approval",
    "task-for-sales",
    "lifecycle-rested",
    "score",
    "a",
    "b",
)
DURATIONS = st.sampled_from(["1 minute", "36 hours", "3 days", "2 weeks"])
MESSAGE = st.just("<message>")
WAITS = DURATIONS.map("<message>, wait {}".format)


def series(steps: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(steps, min_size=1, max_size=3).map(", ".join)


def asked(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    events = st.sampled_from(["clicked", "opened", "demo_requested", "approved by sales", "not approved by legal"])
    return st.builds("{} within {}? ({}) : ({})".format, events, DURATIONS, series(inner), series(inner))


def named(steps: str, names: list[str]) -> str:
    """Each message gets a name, odd ones first: such as waits and questions would have themselves."""
    left = [*names, *(f"tip-{number}" for number in range(40))]
    return re.sub("<message>", lambda _: left.pop(0), steps)


DEEDS = st.sampled_from(
    ["score +10", "lifecycle rested", "task for sales within 1 day", "task call for sales within 1 day"]
)
STEP = st.recursive(MESSAGE | DEEDS.map("<message>, {}".format) | WAITS, asked, max_leaves=10)
STEPS_OF_ALL_KINDS = st.builds(named, series(STEP), st.permutations(NAMES))


def in_the_project(folder: Path) -> Layout:
    """A project that has but the layout of emails."""
    shutil.copytree(ROOT / "emails" / "layout", folder / "emails" / "layout")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("workflows", "tests/flows"):
        (folder / name).mkdir(parents=True)
    return Layout.of(folder)


@given(steps=STEPS_OF_ALL_KINDS)
@settings(max_examples=40)
def test_whatever_can_be_told_passes_the_checks(steps: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        files = files_of(steps)
    except CommandFailed as refused:
        assume(not any(why in str(refused) for why in ("nobody waits", "steps are too many")))
        raise
    layout = in_the_project(tmp_path_factory.mktemp("project"))
    for name, text in files.items():
        (layout.root / name).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / name).write_text(text, encoding="utf-8")
    rules = [rule for rule in RULES if rule is not flow_has_histories]
    assert list(map(str, check_flow("win_back", layout, rules).faults)) == []
    blueprint = drawn_up("win_back", "T", GOAL, "m", OnEdit.PIN, read_steps(steps, GOAL))
    found = [step.step for step in each(blueprint.steps)]
    assert len({*found, blueprint.end}) == len(found) + 1
    tests = [node.name for node in ast.walk(ast.parse(files["tests/flows/test_win_back.py"])) if hasattr(node, "name")]
    assert len(set(tests)) == len(tests)


def test_code_is_written_as_lint_wants_it(tmp_path: Path) -> None:
    layout = in_the_project(tmp_path)
    long = "a-message-with-quite-a-long-name-indeed, clicked_a_link_in_the_previous_message within 1 day? {}"
    steps = long.format("(another-message-with-quite-a-long-name, wait 1 day)")
    asking = "approved by the_head_of_sales within 1 day? offer : (task call them for sales within 1 day, score +5)"
    write(files_of(f"{steps}, opened within 1 week 3 days 5 hours? : tip, {asking}"), layout.root)
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", tmp_path], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Win-Back", "write win_back"),
        ("winBack", "write win_back"),
        ("win__back", "write win_back"),
        ("2nd", "write it like win_back"),
        ("../x", "write x"),
        ("", "write it like win_back"),
        ("class", "means something else"),
        ("goal", "means something else"),
        ("w" * 41, "in 40 or less"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_the_mended_one(name: str, told: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        checked_flow_name(name)
    assert told in str(refused.value)


@pytest.mark.parametrize("event", ["demo requested", "Demo-Requested", "", "bounced", "ünsübscribed!"])
def test_an_event_that_cannot_be_a_goal_is_refused(event: str) -> None:
    with pytest.raises(CommandFailed):
        event_name(event)


@pytest.mark.parametrize("title", ["", "x" * 81, 'He said "no"', "back\\slash", "two\nlines"])
def test_a_title_that_cannot_stand_in_code_is_refused(tmp_path: Path, title: str) -> None:
    layout = in_the_project(tmp_path)
    with pytest.raises(CommandFailed, match="the title"):
        new_flow("win_back", Given(title, GOAL, STEPS, "me", OnEdit.PIN), ask=False, dry_run=True, layout=layout)


@pytest.mark.parametrize(
    "there", ["workflows/win_back.py", "emails/win_back", "tests/histories/win_back", "docs/flows/win_back.md"]
)
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    layout = in_the_project(tmp_path)
    (layout.root / there).mkdir(parents=True)
    before = contents(layout.root)
    with pytest.raises(CommandFailed, match=f"{there} is there already"):
        new_flow("win_back", Given(None, None, None, "me", OnEdit.PIN), ask=False, dry_run=False, layout=layout)
    assert contents(layout.root) == before


@pytest.mark.parametrize(
    "meanwhile", ["workflows/win_back.py", "tests/flows/test_win_back.py", "emails/win_back/tip/x"]
)
def test_what_came_to_be_there_meanwhile_is_left_alone_and_nothing_else_is_left(tmp_path: Path, meanwhile: str) -> None:
    layout = in_the_project(tmp_path)
    (layout.root / meanwhile).parent.mkdir(parents=True, exist_ok=True)
    (layout.root / meanwhile).write_text("somebody else's")
    before = contents(layout.root)
    with pytest.raises(CommandFailed, match="not overwritten"):
        write(files_of(STEPS), layout.root)
    assert contents(layout.root) == before
    assert not list(layout.root.glob(".new-flow-*"))


def test_an_installation_without_tests_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="installation without tests/"):
        new_flow(
            "win_back", Given(None, None, None, "me", OnEdit.PIN), ask=False, dry_run=False, layout=Layout.of(tmp_path)
        )


@pytest.mark.parametrize("other", ["win_back", "nowhere"])
def test_contacts_are_handed_over_to_a_flow_that_is_there(tmp_path: Path, other: str) -> None:
    layout = in_the_project(tmp_path)
    (layout.workflows / "sales.py").write_text("class Sales(Flow[FlowSettings]):\n    pass\n")
    given = Given(None, None, f"tip, wait 1 day, hand over to {other}", "me", OnEdit.PIN)
    with pytest.raises(CommandFailed, match=f"cannot be handed over to {other}: there are sales$"):
        new_flow("win_back", given, ask=False, dry_run=True, layout=layout)


def test_what_is_not_given_is_asked_for_until_it_is_right() -> None:
    answers = "\n".join(["Win them back", "came back!", "came_back", "miss-you", "miss-you, wait 3 days, offer"])
    asked = CliRunner().invoke(app, ["new-flow", NOBODYS, "--dry-run"], input=f"{answers}\n")
    assert asked.exit_code == 0, asked.output
    assert "write came_back" in asked.output
    assert "add a wait" in asked.output
    assert f"emails/{NOBODYS}/miss-you/es/body.mjml" in asked.output.splitlines()
    assert not (ROOT / "workflows" / f"{NOBODYS}.py").exists()


def test_an_interrupt_at_a_question_leaves_nothing(tmp_path: Path) -> None:
    before = set(ROOT.iterdir())
    asked = CliRunner().invoke(app, ["new-flow", NOBODYS], input="Win them back\n")
    assert asked.exit_code == 1
    assert not list(ROOT.glob(f"*/{NOBODYS}*"))
    assert {path for path in set(ROOT.iterdir()) - before if "new-flow" in path.name} == set()


def test_a_dry_run_lists_the_files(cauce: Callable[..., Said], env: dict[str, str]) -> None:
    said = cauce("new-flow", NOBODYS, "--yes", "--dry-run", env=env)
    assert said.status == 0
    assert f"workflows/{NOBODYS}.py" in said.stdout.splitlines()
    assert not (ROOT / "workflows" / f"{NOBODYS}.py").exists()


def test_a_wrong_option_is_told_in_a_line(cauce: Callable[..., Said], env: dict[str, str]) -> None:
    said = cauce("new-flow", NOBODYS, "--yes", "--steps", "welcome", env=env)
    assert (said.status, said.stdout) == (1, "")
    assert said.stderr.startswith("cauce: the steps 'welcome': nobody waits in it")


def test_a_new_flow_is_green_within_a_minute_and_touches_no_file_that_was_there(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    before = contents(project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", *words],
            cwd=elsewhere,
            env=running_from(project),
            capture_output=True,
            text=True,
        )

    begun = time.monotonic()
    steps = f"{STORIES[3][0]}, task call them for sales within 2 days, score +10, hand over to onboarding"
    done = run("cli.main", "new-flow", NOBODYS, "--steps", steps, "--on-edit", "pin", "--yes")
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stdout + done.stderr
    assert took < 60
    assert f"✓ {NOBODYS}: 12 steps, 5 waits, 4 messages" in done.stdout
    assert "9 passed" in done.stdout
    after = contents(project)
    assert {name for name in before if after.get(name) != before[name]} == {"docs/flows/README.md"}
    added = set(after) - set(before)
    assert {f"workflows/{NOBODYS}.py", f"tests/flows/test_{NOBODYS}.py", f"docs/flows/{NOBODYS}.md"} <= added
    homes = tuple(place.format(NOBODYS) for place in PLACES)
    assert all(name.startswith(homes) for name in added)
    assert any(name.endswith("/finished-with-pricing.json") for name in added), "each message is on record"
    again = run("cli.main", "new-flow", NOBODYS, "--yes")
    assert (again.returncode, again.stdout) == (1, "")
    assert f"workflows/{NOBODYS}.py is there already" in again.stderr
    assert contents(project) == after
