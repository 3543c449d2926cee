"""The outline of a journey is what its source says, wherever its steps are written."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from textwrap import dedent, indent

import pytest

from inspection.faults import UnreadableFlow
from inspection.flow_source import FlowSource
from inspection.outline import Block, Branch, End, Loop, Step, steps
from inspection.verb_calls import ARGUMENTS, verb_of
from workflows.flow import Flow

ROOT = Path(__file__).parents[2]


def told(block: Block, answers: bool = False) -> list[object]:
    """An outline in short: names of steps, branches as question, then and otherwise, loops as lists.

    With `answers`, a return is told as what it answers.
    """
    short: list[object] = []
    for node in block:
        match node:
            case Step():
                short.append(node.name)
            case End():
                short.append(node.answer if answers and node.answer else node.kind)
            case Loop():
                short.append((node.header, told(node.body, answers)))
            case Branch():
                asks = node.asks.name if node.asks else node.test
                question = f"not {asks}" if node.negated else asks
                short.append((question, told(node.then, answers), told(node.otherwise, answers)))
    return short


def outline(tmp_path: Path, journey: str, methods: str = "") -> list[object]:
    body = indent(dedent(journey).strip(), " " * 8) + "\n" + indent(dedent(methods), " " * 4)
    path = tmp_path / "trial.py"
    path.write_text(f"class Trial(Flow[TrialSettings]):\n    async def journey(self):\n{body}")
    source = FlowSource.load(path)
    assert source.journey.faults == ()
    return told(source.outline)


def test_a_branch_asks_the_step_whose_answer_decides(tmp_path: Path) -> None:
    journey = """
        if not await self.happened("a", within=week):
            await self.send("b")
        elif came := await self.happened("c", within=week):
            await self.send("d")
        else:
            self.finish("e")
        clicked = await self.happened("f", within=week)
        if clicked:
            await self.send("g")
        if (await self.send("h")).status == "sent" and x:
            return
    """
    assert outline(tmp_path, journey) == [
        ("not a", ["b"], [("c", ["d"], ["e"])]),
        "f",
        ("clicked", ["g"], []),
        "h",
        ("(await self.send('h')).status == 'sent' and x", ["return"], []),
    ]


def test_a_step_in_the_test_of_a_while_comes_in_each_round(tmp_path: Path) -> None:
    journey = """
        while not await self.happened(f"a-{n}", within=week):
            n += 1
            await self.send(f"b-{n}", "b")
    """
    assert outline(tmp_path, journey) == [("while True", [("not a-{n}", ["b-{n}"], ["break"])])]


def test_loops_and_branches_without_steps_are_left_out(tmp_path: Path) -> None:
    journey = """
        total = 0
        for n in range(3):
            total += n
        if total:
            total = 1
        for n in range(3):
            if n == 2:
                break
            await self.wait(f"a-{n}", week)
    """
    assert outline(tmp_path, journey) == [("for n in range(3)", [("n == 2", ["break"], []), "a-{n}"])]


def test_cases_are_branches(tmp_path: Path) -> None:
    journey = """
        match plan:
            case "team":
                await self.send("a")
            case "free" if young:
                await self.send("b")
            case _:
                await self.send("c")
    """
    otherwise = [("plan is 'free' if young", ["b"], ["c"])]
    assert outline(tmp_path, journey) == [("plan is 'team'", ["a"], otherwise)]


def test_a_method_stands_in_the_place_of_its_call(tmp_path: Path) -> None:
    methods = """
        async def _ask(self):
            return await self.happened("a", within=week)

        async def _remind(self):
            await self.send("b")
            if done:
                return
            await self.send("c")
    """
    journey = """
        if await self._ask():
            await self._remind()
        await self.send("d")
    """
    assert outline(tmp_path, journey, methods) == [("a", ["b", ("done", [], ["c"])], []), "d"]


IS_BACK = """
    async def _is_back(self, number):
        if await self.happened(f"a-{number}", event="a", within=week):
            return True
        if gone:
            return
        await self.send("b")
        return await self.happened("c", within=week)
"""
IS_SURE = """
    async def _is_sure(self):
        if await self.happened("d", within=week):
            return maybe
        return True
"""


def test_a_method_that_is_asked_decides_at_each_of_its_ways_out(tmp_path: Path) -> None:
    journey = """
        if not await self._is_back(1):
            await self.send("e")
        while await self._is_back(2):
            await self.send("f")
    """
    path = tmp_path / "trial.py"
    body = indent(dedent(journey).strip(), " " * 8) + "\n" + indent(dedent(IS_BACK), " " * 4)
    path.write_text(f"class Trial(Flow[TrialSettings]):\n    async def journey(self):\n{body}")
    source = FlowSource.load(path)
    assert source.journey.faults == ()
    branch, loop = source.outline
    assert isinstance(branch, Branch)
    assert isinstance(loop, Loop)
    decided_by = [("a-{number}", ["yes"], []), ("gone", ["no"], []), "b", ("c", ["yes"], ["no"])]
    assert (told(branch.decided_by, True), branch.negated, told(branch.then)) == (decided_by, True, ["e"])
    (again,) = loop.body
    assert isinstance(again, Branch)
    assert (told(again.decided_by, True), told(again.then), told(again.otherwise)) == (decided_by, ["f"], ["break"])
    assert [step.name for step in steps(source.outline)] == ["a-{number}", "b", "c", "e", "a-{number}", "b", "c", "f"]


def test_an_answer_that_is_not_written_out_decides_behind_the_method(tmp_path: Path) -> None:
    journey = """
        if await self._is_sure():
            await self.send("e")
        if await self._is_back(1):
            await self.send("f")
    """
    assert outline(tmp_path, journey, dedent(IS_BACK) + dedent(IS_SURE)) == [
        ("d", [], []),
        ("await self._is_sure()", ["e"], []),
        ("await self._is_back(1)", ["f"], []),
    ]


def test_a_step_says_what_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "trial.py"
    path.write_text(
        "SIZES = ('small', 'large')\n"
        "class Trial(Flow[TrialSettings]):\n"
        "    async def journey(self):\n"
        "        bounds = (1, self.settings.top)\n"
        "        size = await self.choose('size', attribute='size', among=SIZES)\n"
        "        for week in (1, 2):\n"
        "            await self.send(f'offer-{week}', f'{size}-{week}-{plan}')\n"
        "        value = await self.bracket('value', attribute='value', bounds=bounds)\n"
        "        await self.set_lifecycle('stage', value)\n"
        "        await self.task('call', 'Call', to=who, due=day, wait=False)\n"
    )
    assert list(steps(FlowSource.load(path).outline)) == [
        Step(5, "choose", "size", given=(("attribute", "'size'"), ("among", "SIZES"))),
        Step(
            7,
            "send",
            "offer-{week}",
            message="{size}-{week}-{plan}",
            words=(("size", ("small", "large")), ("week", ("1", "2"))),
        ),
        Step(8, "bracket", "value", given=(("attribute", "'value'"), ("bounds", "(1, self.settings.top)"))),
        Step(9, "set_lifecycle", "stage", given=(("stage", "value"),)),
        Step(10, "task", "call", limit="day", given=(("subject", "'Call'"), ("to", "who"), ("wait", "False"))),
    ]


def test_a_step_says_what_it_sends_and_waits_for(tmp_path: Path) -> None:
    path = tmp_path / "trial.py"
    path.write_text(
        "class Trial(Flow[TrialSettings]):\n"
        "    async def journey(self):\n"
        "        await self.send('a')\n"
        "        await self.send('b', message='c')\n"
        "        await self.wait('d', timedelta(days=1))\n"
        "        await self.happened('e', event='f', within=self.settings.pause)\n"
        "        await self.wait_until('g', moment=noon)\n"
    )
    assert FlowSource.load(path).outline == (
        Step(3, "send", "a", message="a"),
        Step(4, "send", "b", message="c"),
        Step(5, "wait", "d", limit="timedelta(days=1)"),
        Step(6, "happened", "e", event="f", limit="self.settings.pause"),
        Step(7, "wait_until", "g", limit="noon"),
    )


def test_every_verb_is_known_with_its_arguments() -> None:
    """A verb added to Flow and not here would be a step that no check and no diagram sees."""
    taking_a_step = {
        name: inspect.signature(member).parameters
        for name, member in inspect.getmembers(Flow, inspect.isfunction)
        if not name.startswith("_") and "step" in inspect.signature(member).parameters
    }
    assert set(taking_a_step) == set(ARGUMENTS)
    for verb, arguments in ARGUMENTS.items():
        parameters = list(taking_a_step[verb].values())[1:]
        by_place = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
        assert by_place == list(arguments.by_place)
        assert {each.name for each in parameters} - set(by_place) == set(arguments.by_name)
        assert [each.name for each in parameters if each.default is each.empty][1:] == list(arguments.needs)
        assert not arguments.limit or (arguments.waits and arguments.limit in arguments.needs)


def test_every_verb_is_documented_by_an_example() -> None:
    rows = re.findall(r"^\| `(\w+\(.*?\))` \|", (ROOT / "docs/adding-a-flow.md").read_text(), re.MULTILINE)
    calls = [ast.parse(f"self.{row.replace('…', '0')}", mode="eval").body for row in rows]
    examples = [call for call in calls if isinstance(call, ast.Call)]
    assert [verb_of(call) for call in examples] == sorted(ARGUMENTS, key=[verb_of(call) for call in examples].index)
    for call in examples:
        verb = verb_of(call)
        assert verb is not None
        given = {*ARGUMENTS[verb].by_place[: len(call.args)], *(word.arg for word in call.keywords)}
        assert {"step", *ARGUMENTS[verb].needs} <= given <= {*ARGUMENTS[verb].by_place, *ARGUMENTS[verb].by_name}


@pytest.mark.parametrize("text", ["", "class :", "\0", "x = " + "(" * 5000, "class A(B): pass", "\xff"])
def test_what_holds_no_flow_is_told_as_one_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trial.py"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UnreadableFlow) as caught:
        FlowSource.load(path)
    assert caught.value.fault.mend
