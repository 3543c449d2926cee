"""How good a flow is, as computed: each thing that is missing lowers the grade and is named."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cli.flows import told
from inspection.grades import SCALE, Fact, Grade
from inspection.pages import write_pages
from inspection.quality import Quality, qualities
from tests.inspection.project import FlowProject
from workflows.builds import build_id
from workflows.discovery import discover_flows

HERE = Path(__file__).parent
JOURNEY = """
        await self.send("tip")
        if await self.happened("clicked", within=timedelta(days=2)):
            self.finish("interested")
        for week in (1, 2):
            await self.wait(f"pause-{week}", timedelta(weeks=1))
"""
TEST = """
import pytest

from domain.flows import Exit
from rehearsal.journey import Journey
from workflows.trial import Trial

LEFT = "left"


@pytest.mark.parametrize(
    ("leave", "exit_"),
    [
        (Journey.reach_goal, Exit.GOAL),
        (Journey.unsubscribe, Exit.UNSUBSCRIBED),
        (Journey.bounce, Exit.BOUNCED),
        (Journey.complain, Exit.COMPLAINED),
        (Journey.erase, Exit.ERASED),
        (Journey.cancel, Exit.CANCELLED),
    ],
)
async def test_leaving(journey, leave, exit_):
    async with journey(Trial) as j:
        await leave(j)
        assert (await j.outcome()).exit is exit_


async def test_the_end(journey):
    async with journey(Trial) as j:
        assert (await j.outcome()).exit == "completed"
"""
HISTORIES = (
    "finished",
    *("exited-goal", "exited-unsubscribed", "exited-bounced", "exited-complained", "exited-erased", "exited-cancelled"),
    *("waiting-clicked", "waiting-pause-1"),
)


class Trials:
    """A project whose only flow lacks nothing, and what is computed of it."""

    def __init__(self, project: FlowProject, package: ModuleType) -> None:
        self.project = project
        self.package = package
        self.root = project.root
        (self.flow,) = discover_flows(package).values()
        self.version = build_id(self.flow)
        self.histories = project.layout.histories("trial") / self.version
        write_pages(self.root, package)

    @property
    def quality(self) -> Quality:
        (quality,) = qualities(self.project.layout, self.package)
        return quality

    def rewrite(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        self.project.write(path, text.replace(old, new))


@pytest.fixture
def trials(flow_project: FlowProject, monkeypatch: pytest.MonkeyPatch) -> Trials:
    return begun(flow_project, JOURNEY, monkeypatch)


def begun(project: FlowProject, journey: str, monkeypatch: pytest.MonkeyPatch) -> Trials:
    source = (HERE / "sound/the_least.py.txt").read_text()
    source = source.replace('\n        await self.send("tip")\n', journey)
    source = source.replace("on_edit=OnEdit.FOLLOW,", 'on_edit=OnEdit.FOLLOW,\n        listens=frozenset({"clicked"}),')
    project.add("trial", source)
    project.write("tests/flows/test_trial.py", TEST)
    package = ModuleType("flows_of_a_trial")
    package.__path__ = [str(project.layout.workflows)]
    monkeypatch.setitem(sys.modules, package.__name__, package)
    # So that the module, which discovery puts there, is taken away again.
    monkeypatch.setitem(sys.modules, f"{package.__name__}.trial", package)
    del sys.modules[f"{package.__name__}.trial"]
    trials = Trials(project, package)
    shutil.rmtree(project.layout.histories("trial"))
    for name in HISTORIES:
        project.write(f"tests/histories/trial/{trials.version}/{name}.json", '{"events": [{"eventId": "1"}]}')
    return trials


def test_a_flow_that_lacks_nothing_is_at_the_top(trials: Trials) -> None:
    quality = trials.quality
    assert {fact: measure.missing for fact, measure in quality.measures.items()} == dict.fromkeys(Fact, ())
    assert (quality.grade, quality.next) == (Grade.PLATINUM, None)
    assert told(quality) == "platinum · exits 7/7 · histories 9/9 · locales 2/2 · page current"


def test_every_fact_is_asked_for_by_a_grade() -> None:
    assert {requirement.fact for requirement in SCALE} == set(Fact)
    assert [requirement.grade for requirement in SCALE] == sorted(
        (requirement.grade for requirement in SCALE), key=list(Grade).index
    )


def without_a_test_of(exit_: str) -> Callable[[Trials], None]:
    return lambda trials: trials.rewrite("tests/flows/test_trial.py", f"Exit.{exit_.upper()})", '"left")')


def without_history(name: str) -> Callable[[Trials], None]:
    return lambda trials: (trials.histories / f"{name}.json").unlink()


def with_an_assert_in_a_comment(trials: Trials) -> None:
    trials.rewrite("tests/flows/test_trial.py", "        assert (await j.outcome()).exit ==", "        pass  # assert")


def with_a_history_of_nothing(trials: Trials) -> None:
    (trials.histories / "waiting-clicked.json").write_text("{}")


def with_histories_of_earlier_code(trials: Trials) -> None:
    trials.histories.rename(trials.histories.with_name("1a2b3c"))


def without_spanish(trials: Trials) -> None:
    shutil.rmtree(trials.root / "emails/trial/tip/es")
    trials.project.add_message("second", "news")


def with_a_stale_page(trials: Trials) -> None:
    trials.rewrite("docs/flows/trial.md", "marketing", "sales")


def without_a_page(trials: Trials) -> None:
    (trials.root / "docs/flows/trial.md").unlink()


def with_a_fault(trials: Trials) -> None:
    trials.project.write("emails/trial/tip/en/subject.txt", "{{ contact.shoe_size }}\n")


def without_a_test(trials: Trials) -> None:
    (trials.root / "tests/flows/test_trial.py").unlink()


def with_a_test_that_is_not_python(trials: Trials) -> None:
    trials.project.write("tests/flows/test_trial.py", "async def")


RUN_RECORD = "run cauce flows record trial"
RUN_CHECK = "run cauce flows check trial, and mend what it says"
ALL_EXITS = ("goal", "completed", "unsubscribed", "bounced", "complained", "erased", "cancelled")


@pytest.mark.parametrize(
    ("spoil", "grade", "fact", "missing", "need"),
    [
        *(
            (
                without_a_test_of(exit_),
                "silver",
                "exits",
                (exit_,),
                f"in tests/flows/test_trial.py that contacts take {exit_}",
            )
            for exit_ in ALL_EXITS
            if exit_ != "completed"
        ),
        (with_an_assert_in_a_comment, "silver", "exits", ("completed",), "contacts take completed"),
        *((without_history(name), "gold", "histories", (name,), RUN_RECORD) for name in HISTORIES[1:7]),
        (without_history("waiting-clicked"), None, "histories", ("waiting-clicked",), RUN_CHECK),
        (with_a_history_of_nothing, None, "histories", ("waiting-clicked",), RUN_CHECK),
        (with_a_stale_page, "bronze", "page", ("docs/flows/trial.md is not what the flow's code says",), "flows pages"),
        (without_a_page, "bronze", "page", ("docs/flows/trial.md is missing",), "run cauce flows pages"),
        (without_spanish, None, "locales", ("tip in es",), "write tip in es in emails/trial"),
        (without_a_test, None, "exits", ALL_EXITS, RUN_CHECK),
        (with_a_test_that_is_not_python, None, "exits", ALL_EXITS, RUN_CHECK),
    ],
)
def test_what_is_missing_lowers_the_grade_and_is_named(
    trials: Trials, spoil: Callable[[Trials], None], grade: str | None, fact: str, missing: tuple[str, ...], need: str
) -> None:
    spoil(trials)
    quality = trials.quality
    assert quality.grade == grade
    measure = quality.measures[Fact(fact)]
    assert measure.missing == missing
    assert measure.done < measure.of
    assert quality.next is not None
    assert need in ", ".join(each.mend for each in quality.next[1])
    assert need in told(quality)


def test_histories_of_earlier_code_are_told_apart(trials: Trials) -> None:
    with_histories_of_earlier_code(trials)
    quality = trials.quality
    assert quality.grade is Grade.GOLD
    assert quality.measures[Fact.HISTORIES].done == 0
    assert "waiting-pause-{week}, but of other code" in quality.measures[Fact.HISTORIES].missing
    assert told(quality) == (
        f"gold · exits 7/7 · histories 0/9 · locales 2/2 · page current\nfor platinum: {RUN_RECORD}"
    )


def test_an_edit_of_the_flow_asks_for_new_histories_and_a_new_page(trials: Trials) -> None:
    trials.rewrite("workflows/trial.py", "timedelta(days=2)", "timedelta(days=3)")
    build_id.cache_clear()  # as in another process
    quality = trials.quality
    assert quality.version != trials.version
    assert quality.measures[Fact.HISTORIES].done == 0
    assert quality.grade is Grade.BRONZE


def test_a_fault_of_a_template_is_one_of_the_checks(trials: Trials) -> None:
    with_a_fault(trials)
    quality = trials.quality
    assert quality.grade is None
    assert "shoe_size" in ", ".join(quality.measures[Fact.CHECKS].missing)
    assert told(quality).startswith("no grade · ")


ASKS = """
        await self.send("tip")
        facts = {"offer_percent": 30}
        decision = await self.ask("approve", "An offer", plan=PLAN, facts=facts)
        if decision.approved:
            await self.task("call", "Call them", to=SALES, due=timedelta(days=1))
"""
WORDS = """
[es]
"One email" = "Lo mínimo"
"An offer" = "Una oferta"
"offer percent" = "oferta (%)"
"Call them" = "Llámalos"
"""


@pytest.mark.parametrize("text", ["One email", "An offer", "offer percent", "Call them"])
def test_what_people_of_the_team_are_asked_is_there_in_every_language(
    flow_project: FlowProject, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    trials = begun(flow_project, ASKS, monkeypatch)
    trials.project.write("emails/trial/words.toml", WORDS)
    assert trials.quality.measures[Fact.LOCALES].missing == ()
    trials.rewrite("emails/trial/words.toml", f'"{text}"', '"Something else"')
    locales = trials.quality.measures[Fact.LOCALES]
    assert (locales.done, locales.of, locales.missing) == (1, 2, (f"“{text}” in es",))
    assert locales.mend == f"say “{text}” in es in emails/trial/words.toml"


def test_the_first_text_that_is_not_said_is_named(flow_project: FlowProject, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = begun(flow_project, ASKS, monkeypatch)
    locales = trials.quality.measures[Fact.LOCALES]
    assert len(locales.missing) == 4
    assert locales.mend == "say “One email” in es in emails/trial/words.toml"
    trials.project.write("emails/trial/words.toml", "es = 1")
    assert trials.quality.measures[Fact.LOCALES] == locales


def test_an_installation_tells_what_is_there(trials: Trials) -> None:
    shutil.rmtree(trials.root / "tests")
    shutil.rmtree(trials.root / "docs")
    quality = trials.quality
    assert quality.measures[Fact.CHECKS].missing == ()
    assert told(quality) == "bronze at least · exits not here · histories not here · locales 2/2 · page not here"
    with_a_fault(trials)
    assert trials.quality.grade is None


def test_a_source_that_cannot_be_read_is_told(trials: Trials) -> None:
    trials.rewrite("workflows/trial.py", "    async def journey", "    async journey")
    quality = trials.quality
    assert quality.grade is None
    for fact in (Fact.PAGE, Fact.EXITS, Fact.HISTORIES, Fact.CHECKS):
        assert not quality.measures[fact].whole


@pytest.mark.parametrize(
    ("journey", "exits", "histories"),
    [
        ('\n        await self.send("tip")\n', ("completed",), ("finished",)),
        (
            '\n        await self.send("tip")\n'
            '        while True:\n            await self.wait("pause", timedelta(days=1))\n',
            tuple(exit_ for exit_ in ALL_EXITS if exit_ != "completed"),
            ("waiting-pause", *HISTORIES[1:7]),
        ),
        (
            '\n        await self.send("tip")\n'
            '        await self.task("card", "Write a card", to=SALES, due=timedelta(days=1), wait=False)\n',
            ("completed",),
            ("finished",),
        ),
        (
            '\n        await self.send("tip")\n'
            '        await self.assign_lead("assign", respond_within=timedelta(days=1))\n',
            ("goal", "completed", *ALL_EXITS[2:]),
            ("waiting-assign", "exited-goal", "finished", *HISTORIES[2:7]),
        ),
    ],
)
def test_only_what_can_happen_is_wanted(
    flow_project: FlowProject,
    monkeypatch: pytest.MonkeyPatch,
    journey: str,
    exits: tuple[str, ...],
    histories: tuple[str, ...],
) -> None:
    trials = begun(flow_project, journey, monkeypatch)
    shutil.rmtree(trials.histories)
    trials.project.write("tests/flows/test_trial.py", "async def test_trial():\n    pass\n")
    measures = trials.quality.measures
    assert measures[Fact.EXITS].missing == exits
    assert measures[Fact.HISTORIES].missing == histories


def test_the_index_of_pages_explains_the_scale(trials: Trials) -> None:
    index = (trials.root / "docs/flows/README.md").read_text()
    for requirement in SCALE:
        assert f"| {requirement.grade} | {requirement.told} |" in index


def test_every_flow_of_ours_has_a_grade(listed: list[dict[str, Any]]) -> None:
    assert {flow["flow"]: flow["quality"]["grade"] is not None for flow in listed} == dict.fromkeys(
        discover_flows(), True
    )


@pytest.fixture
def listed() -> list[dict[str, Any]]:
    from cli.flows import flows_json

    found: list[dict[str, Any]] = json.loads(flows_json())
    return found
