"""What counts as a test of an exit, and what does not."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent, indent

import pytest

from domain.flows import Exit
from inspection.asserted_exits import asserted_exits

ROOT = Path(__file__).parents[2]
TRIAL = "async with journey(Trial) as j:\n"


def found(source: str) -> set[str]:
    return {str(exit_) for exit_ in asserted_exits(ast.parse(dedent(source)), "Trial")}


def in_a_journey(lines: str, before: str = "") -> str:
    """A test whose journey has these lines."""
    body = before + TRIAL + indent(dedent(lines), "    ")
    return f"async def test_it(journey):\n{indent(body, '    ')}\n"


@pytest.mark.parametrize(
    "lines",
    [
        "assert (await j.outcome()).exit == 'goal'",
        "assert (await j.outcome()).exit is Exit.GOAL",
        "assert Exit.GOAL == (await j.outcome()).exit",
        "outcome = await j.outcome()\nassert outcome.exit is Exit.GOAL, 'why'",
        "outcome: Outcome = await j.outcome()\nassert outcome.exit is Exit.GOAL",
        "outcome = await j.outcome()\nassert (outcome.exit, outcome.step) == (Exit.GOAL, 'tip')",
        "outcome = await j.outcome()\nassert outcome.step == 'tip' and outcome.exit == 'goal'",
        "assert await j.outcome() == Outcome(exit=Exit.GOAL, step='tip')",
        "assert (await j.enrollment()).exit == 'goal'",
        "try:\n    assert (await j.outcome()).exit == 'goal'\nfinally:\n    pass",
        "for exit_ in (Exit.GOAL, 'goal'):\n    assert (await j.outcome()).exit is exit_",
        "async with lock:\n    assert (await j.outcome()).exit is Exit.GOAL",
        "if tired:\n    await j.travel(days=1)\nassert (await j.outcome()).exit is Exit.GOAL",
    ],
)
def test_an_exit_that_is_asserted_of_the_outcome_counts(lines: str) -> None:
    assert found(in_a_journey(lines)) == {"goal"}


@pytest.mark.parametrize(
    "lines",
    [
        "pass  # assert (await j.outcome()).exit is Exit.GOAL",
        "'assert (await j.outcome()).exit is Exit.GOAL'",
        "assert Exit.GOAL",
        "(await j.outcome()).exit == Exit.GOAL",
        "assert (await j.outcome()).exit != Exit.GOAL",
        "assert (await j.outcome()).exit is not Exit.GOAL",
        "assert not (await j.outcome()).exit == Exit.GOAL",
        "assert (await j.outcome()).exit == Exit.GOAL or True",
        "assert (await j.outcome()).exit in (Exit.GOAL, Exit.COMPLETED)",
        "assert ((await j.outcome()).exit == Exit.GOAL) == tired",
        "assert (await j.outcome()).step == 'goal'",
        "assert Outcome(exit=Exit.GOAL).exit == Exit.GOAL",
        "assert (await other.outcome()).exit == Exit.GOAL",
        "assert (await j.progress()).exit == Exit.GOAL",
        "assert (await j.outcome()).exit == Exit.NOWHERE",
        "assert (await j.outcome()).exit == 'nowhere'",
        "assert (await j.outcome()).exit == wanted",
        "outcome = await j.outcome()\noutcome = invented\nassert outcome.exit == 'goal'",
        "outcome = await j.outcome()\nif tired:\n    outcome = invented\nassert outcome.exit == 'goal'",
        "j = invented\nassert (await j.outcome()).exit == 'goal'",
        "if False:\n    assert (await j.outcome()).exit is Exit.GOAL",
        "while tired:\n    assert (await j.outcome()).exit is Exit.GOAL",
        "for _ in ():\n    assert (await j.outcome()).exit is Exit.GOAL",
        "for _ in found:\n    assert (await j.outcome()).exit is Exit.GOAL",
        "for _ in (1, 2):\n    if tired:\n        continue\n    assert (await j.outcome()).exit is Exit.GOAL",
        "with suppress(AssertionError):\n    assert (await j.outcome()).exit is Exit.GOAL",
        "with pytest.raises(AssertionError):\n    assert (await j.outcome()).exit is Exit.GOAL",
        "try:\n    assert (await j.outcome()).exit is Exit.GOAL\nexcept AssertionError:\n    pass",
        "def nobody_calls():\n    assert (await j.outcome()).exit is Exit.GOAL",
        "return\nassert (await j.outcome()).exit is Exit.GOAL",
        "if tired:\n    return\nassert (await j.outcome()).exit is Exit.GOAL",
        "pytest.skip('later')\nassert (await j.outcome()).exit is Exit.GOAL",
        "if tired:\n    pytest.skip('later')\nassert (await j.outcome()).exit is Exit.GOAL",
        "async with journey(Other) as j:\n    assert (await j.outcome()).exit is Exit.GOAL",
    ],
)
def test_what_is_not_asserted_for_certain_does_not(lines: str) -> None:
    ast.parse(in_a_journey(lines))
    assert found(in_a_journey(lines)) == set()


SOUND = in_a_journey("assert (await j.outcome()).exit is Exit.GOAL")


@pytest.mark.parametrize(
    "source",
    [
        SOUND.replace("test_it", "check_it"),
        SOUND.replace("Trial", "Other"),
        SOUND.replace("journey(Trial)", "invented(Trial)"),
        f"@pytest.mark.skip\n{SOUND}",
        f"@pytest.mark.skip(reason='later')\n{SOUND}",
        f"@pytest.mark.skipif(tired, reason='later')\n{SOUND}",
        f"@mark.xfail\n{SOUND}",
        f"pytestmark = [pytest.mark.skip]\n{SOUND}",
        f"pytest.importorskip('nothing')\n{SOUND}",
        f"{SOUND}\nasync def test_it(journey):\n    pass\n",
        f"class Trials:\n{indent(SOUND, '    ')}",
        f"@pytest.mark.skip\nclass TestTrial:\n{indent(SOUND, '    ')}",
        f"def outer():\n{indent(SOUND, '    ')}",
        f"if tired:\n{indent(SOUND, '    ')}",
    ],
)
def test_what_pytest_may_not_run_does_not(source: str) -> None:
    assert found(source) == set()


def test_a_class_of_tests_and_the_module_of_a_flow_count() -> None:
    assert found(f"class TestTrial:\n{indent(SOUND, '    ')}") == {"goal"}
    assert found(SOUND.replace("journey(Trial)", "journey(trial.Trial, contact=ada)")) == {"goal"}


@pytest.mark.parametrize(
    "rows",
    [
        "(('leave', 'exit_'), [(Journey.bounce, Exit.BOUNCED), (Journey.cancel, 'cancelled')])",
        "('leave, exit_', ((Journey.bounce, Exit.BOUNCED), pytest.param(Journey.cancel, 'cancelled', id='x')))",
        "('exit_', [Exit.BOUNCED, Exit.CANCELLED, pytest.param(Exit.GOAL, marks=pytest.mark.skip)])",
        "('exit_', [Exit.BOUNCED, Exit.CANCELLED, wanted, *others])",
    ],
)
def test_the_values_of_parameters_count(rows: str) -> None:
    test = in_a_journey("assert (await j.outcome()).exit is exit_")
    assert found(f"@pytest.mark.parametrize{rows}\n{test}") == {"bounced", "cancelled"}


def test_parameters_that_a_fixture_changes_do_not() -> None:
    test = in_a_journey("assert (await j.outcome()).exit is exit_")
    assert found(f"@pytest.mark.parametrize('exit_', ['goal'], indirect=True)\n{test}") == set()


def test_our_own_tests_are_understood() -> None:
    module = ast.parse((ROOT / "tests/flows/test_onboarding.py").read_text())
    assert asserted_exits(module, "Onboarding") >= {Exit.COMPLETED, Exit.GOAL, Exit.UNSUBSCRIBED}
    assert asserted_exits(module, "Nurturing") == set()
