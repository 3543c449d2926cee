"""No source makes the checks raise, and no verb is passed over: what they cannot follow, they tell."""

from __future__ import annotations

import ast
import random
import sysconfig
from pathlib import Path
from textwrap import indent

import pytest

from inspection.checks import check_flow
from inspection.flow_source import FlowSource
from inspection.verb_calls import ARGUMENTS, verb_of
from tests.inspection.project import FlowProject

HERE = Path(__file__).parent
STDLIB = Path(sysconfig.get_path("stdlib"))
STRANGE = [
    "async def journey(self): await self.send('tip\ud800\\n')".encode("utf-8", "surrogatepass").decode("latin-1"),
    "async def journey(self): await self.send('\\ud800')",
    "async def journey(self): await self.wait('tip', 0x" + "f" * 9000 + ")",
    "async def journey(self): await self.send(" + "-" * 900 + "1)",
    "async def journey(self): await self.send(" + "a." * 800 + "b)",
    "async def journey(self): x = " + "+".join(["await self.send('a')"] * 800),
    "async def journey(self): await self.send(*a, **b)\n    journey = 3",
    "async def journey(): await self.send()",
    "about = FlowType(**x)\n    about = FlowType(goal=Goal(*x), listens=frozenset(1), renamed={**x}, title=1)",
    "about: FlowType\n    renamed = {}",
    "def journey(self): yield self.finish()",
    "async def a(self): await self.b(); await self.b()\n    async def b(self): await self.a()\n    journey = a",
    "\n    ".join(f"async def m{n}(self): await self.m{n + 1}(); await self.m{n + 1}()" for n in range(40))
    + "\n    async def m40(self): await self.send('a')\n    async def journey(self): await self.m0()",
]


def flow(body: str) -> str:
    settings = "class TrialSettings(FlowSettings):\n    of: Duration = 3\n    model_config: int = 1\n    _x: int = 1\n"
    return f"{settings}\n\nclass Trial(Flow[TrialSettings]):\n{indent(body, '    ')}\n"


@pytest.mark.parametrize("body", STRANGE, ids=range(len(STRANGE)))
def test_strange_source_is_told_of(flow_project: FlowProject, body: str) -> None:
    flow_project.write("workflows/trial.py", "")
    flow_project.layout.module("trial").write_bytes(flow(body.replace("\n    ", "\n")).encode("latin-1"))
    faults = check_flow("trial", flow_project.layout).faults
    assert faults
    assert all(str(fault).isprintable() for fault in faults)


@pytest.mark.parametrize("seed", range(5))
def test_a_garbled_flow_is_told_of(flow_project: FlowProject, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    lines = (HERE / "sound/every_shape.py.txt").read_text().splitlines()
    flow_project.add("trial", "\n".join(lines))
    for _ in range(60):
        garbled = list(lines)
        for _ in range(chance.randint(1, 4)):
            place, other = chance.randrange(len(garbled)), chance.randrange(len(garbled))
            match chance.randrange(4):
                case 0:
                    del garbled[place]
                case 1:
                    garbled[place], garbled[other] = garbled[other], garbled[place]
                case 2:
                    garbled.insert(place, garbled[other])
                case _:
                    words = garbled[place].split(" ")
                    chance.shuffle(words)
                    garbled[place] = " ".join(words)
        flow_project.write("workflows/trial.py", "\n".join(garbled))
        check_flow("trial", flow_project.layout)


class _WithVerbs(ast.NodeTransformer):
    """Makes calls of verbs and of the flow's own methods out of some calls, awaited or not."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if self._chance.random() < 0.5:
            called = self._chance.choice([*ARGUMENTS, "a0", "a1"])
            call = ast.Call(ast.Attribute(ast.Name("self", ast.Load()), called, ast.Load()), node.args, node.keywords)
            return ast.Await(call) if self._chance.random() < 0.8 else call
        return node


@pytest.mark.parametrize(
    "module", ["argparse", "inspect", "tarfile", "typing", "subprocess", "zipfile", "ast", "shlex"]
)
def test_no_verb_is_passed_over_in_any_code(flow_project: FlowProject, module: str) -> None:
    """Functions of the standard library as journeys, with verbs for some of what they call."""
    chance = random.Random(module)  # noqa: S311
    tree = ast.parse((STDLIB / f"{module}.py").read_bytes())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and len(node.body) > 2]
    for number in range(0, len(functions) - 2, 3):
        methods = []
        for name, function in zip(("journey", "a0", "a1"), functions[number:], strict=False):
            told = _WithVerbs(chance).visit(ast.parse(ast.unparse(function)).body[0])
            methods.append(ast.AsyncFunctionDef(name, told.args, told.body, [], None, lineno=1))
        source = flow("\n".join(ast.unparse(ast.fix_missing_locations(method)) for method in methods))
        try:
            compile(source, "trial", "exec")
        except SyntaxError:  # an await where Python allows none
            continue
        flow_project.write("workflows/trial.py", source)
        check_flow("trial", flow_project.layout)
        read = FlowSource.load(flow_project.layout.module("trial"))
        verbs = {id(node) for node in ast.walk(read.flow_class) if verb_of(node)}
        followed = {id(call.node) for call in read.journey.calls}
        assert verbs <= followed or read.journey.faults
