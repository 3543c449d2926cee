"""The outline of a journey is what its source says, wherever its steps are written."""

from __future__ import annotations

import inspect
from pathlib import Path
from textwrap import dedent, indent

import pytest

from inspection.faults import UnreadableFlow
from inspection.flow_source import FlowSource
from inspection.outline import Block, Branch, End, Loop, Step
from inspection.verb_calls import ARGUMENTS
from workflows.flow import Flow


def told(block: Block) -> list[object]:
    """An outline in short: names of steps, branches as question, then and otherwise, loops as lists."""
    short: list[object] = []
    for node in block:
        match node:
            case Step():
                short.append(node.name)
            case End():
                short.append(node.kind)
            case Loop():
                short.append((node.header, told(node.body)))
            case Branch():
                asks = node.asks.name if node.asks else node.test
                question = f"not {asks}" if node.negated else asks
                short.append((question, told(node.then), told(node.otherwise)))
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
        parameters = taking_a_step[verb]
        by_place = [name for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD]
        assert by_place[1:] == list(arguments.by_place)
        assert not arguments.limit or arguments.limit in parameters


@pytest.mark.parametrize("text", ["", "class :", "\0", "x = " + "(" * 5000, "class A(B): pass", "\xff"])
def test_what_holds_no_flow_is_told_as_one_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trial.py"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UnreadableFlow) as caught:
        FlowSource.load(path)
    assert caught.value.fault.mend
