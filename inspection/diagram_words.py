"""What a flow's steps and tests are called where people read of them: on its diagram and on its page."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from inspection.outline import Loop, Step, Verb
from inspection.said_values import SaidValues, expiry, plain, until_decided, who_decides
from inspection.source_values import Values, expression
from inspection.verb_calls import argument, verb_of, waits, written_name
from workflows.discovery import FlowClass

Kind: TypeAlias = Literal[
    "start",
    "message",
    "wait",
    "question",
    "choice",
    "loop",
    "approval",
    "task",
    "assignment",
    "handover",
    "change",
    "lookup",
    "finish",
    "end",
]

_COMPARED: Mapping[type[ast.cmpop], str] = {
    ast.GtE: "at least",
    ast.Gt: "more than",
    ast.LtE: "at most",
    ast.Lt: "less than",
    ast.Eq: "is",
    ast.NotEq: "is not",
}


@dataclass(frozen=True)
class Shown:
    """A step in words. `kind` decides its shape; `does` is a clause for a table."""

    kind: Kind
    title: str
    detail: str
    does: str


class Words:
    """`defaults`: of the flow's settings, by name, as far as they have one. `constants`: of its module, by name."""

    def __init__(self, defaults: Mapping[str, object], constants: Mapping[str, object] | None = None) -> None:
        self._said = SaidValues(Values(defaults, constants or {}))

    @classmethod
    def of(cls, flow: FlowClass) -> Words:
        fields = flow.settings_model.model_fields.items()
        return cls(
            {name: field.get_default(call_default_factory=True) for name, field in fields if not field.is_required()},
            vars(sys.modules[flow.__module__]),
        )

    def step(self, step: Step) -> Shown:
        return _WORDS[step.verb](self, step)

    def question(self, step: Step) -> tuple[str, str]:
        """Title and detail of a `happened` whose answer decides how the journey goes on."""
        event = step.event or step.name
        return f"{event} within {self.duration(step.limit)}?", "" if step.name == event else step.name

    def flow(self, step: Step) -> str | None:
        """The flow that a step hands the contact over to, if that is written out."""
        return self._said.text(step.argument("flow"))

    def answer(self, step: Step) -> str:
        """The answer of any other step, where it decides how the journey goes on."""
        if step.verb == "hand_over":
            return f"in {self._said.value(step.argument('flow'))}?"
        return f"answer of {step.name}?"

    def test(self, source: str) -> tuple[str, bool]:
        """Any other test: `call done?`, `score at least 50 (qualifying_score)?`

        And whether the source asks the other way round, as `not call.done` does.
        """
        tree = expression(source)
        if tree is None:
            return f"{plain(source)}?", False
        turned = isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not)
        asked = _Told().visit(tree.operand if isinstance(tree, ast.UnaryOp) and turned else tree)
        return f"{plain(self._tested(asked))}?", turned

    def header(self, loop: Loop) -> str:
        """`number from 1 to 3 (pieces)`, `for week in (1, 2)`."""
        name, within, over = loop.header.removeprefix("for ").partition(" in ")
        match expression(over) if within else None:
            case ast.Call(
                func=ast.Name(id="range"), args=[first, ast.BinOp(left=last, op=ast.Add(), right=ast.Constant(value=1))]
            ):
                return f"{name} from {self._said.value(ast.unparse(first))} to {self._said.value(ast.unparse(last))}"
        return plain(loop.header)

    def duration(self, source: str | None) -> str:
        """`3 days (hand_after)` for a setting, `3 days` for a literal, else the source."""
        return self._said.duration(source)

    def moment(self, source: str | None) -> str:
        """`14 days after entering (check_in_after)`, as far as it is counted from there; else the source."""
        return self._said.moment(source)

    def _tested(self, tree: ast.expr) -> str:
        match tree:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name != "self":
                return f"{name} {attr}"
            case ast.BoolOp(op=op, values=values):
                return f" {'and' if isinstance(op, ast.And) else 'or'} ".join(map(self._part, values))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARED:
                return f"{ast.unparse(left)} {_COMPARED[type(op)]} {self._said.value(ast.unparse(right))}"
        return ast.unparse(tree)

    def _part(self, tree: ast.expr) -> str:
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
            return f"not {self._part(tree.operand)}"
        told = self._tested(tree)
        return f"({told})" if isinstance(tree, ast.BoolOp) else told

    # -- Messages and time ----------------------------------------------------------------------------------------

    def _send(self, step: Step) -> Shown:
        message = "" if step.message in (None, step.name) else f" {step.message}"
        return Shown("message", step.name, f"email{message}", f"sends the email {step.message or step.name}")

    def _wait(self, step: Step) -> Shown:
        limit = self.duration(step.limit)
        return Shown("wait", step.name, limit, f"waits {limit}")

    def _wait_until(self, step: Step) -> Shown:
        moment = f"until {self.moment(step.limit)}"
        return Shown("wait", step.name, moment, f"waits {moment}")

    def _wait_for_local_time(self, step: Step) -> Shown:
        moment = f"until {self._said.local_time(step.argument('at'), step.argument('days'))} where the contact is"
        return Shown("wait", step.name, moment, f"waits {moment}")

    def _happened(self, step: Step) -> Shown:
        event, limit = step.event or step.name, self.duration(step.limit)
        told = f"waits for {event}, {limit} at the longest"
        return Shown("wait", step.name, f"until {event}, {limit} at the longest", told)

    def _finish(self, step: Step) -> Shown:
        return Shown("finish", step.name, "finish", "ends the journey, as completed")

    # -- The contact ----------------------------------------------------------------------------------------------

    def _choose(self, step: Step) -> Shown:
        attribute = self._said.value(step.argument("attribute"))
        words = self._said.items(step.argument("among"))
        among = ", ".join(words)
        default = f", and {words[0]} if it is none of them" if words[1:] else ""
        detail = among if attribute == step.name else f"{attribute}: {among}"
        return Shown("lookup", step.name, detail, f"looks up the contact's {attribute}: {among}{default}")

    def _bracket(self, step: Step) -> Shown:
        attribute = self._said.value(step.argument("attribute"))
        bounds = ", ".join(self._said.items(step.argument("bounds")))
        does = f"looks up how many of these the contact's {attribute} reaches: {bounds}"
        return Shown("lookup", step.name, f"{attribute} by {bounds}", does)

    def _update_contact(self, step: Step) -> Shown:
        fields = self._said.keys(step.argument("fields"))
        return Shown("change", step.name, f"set {fields}", f"sets the contact's {fields}")

    def _set_lifecycle(self, step: Step) -> Shown:
        stage = self._said.value(step.argument("stage"))
        return Shown("change", step.name, f"lifecycle {stage}", f"sets the contact's lifecycle stage to {stage}")

    def _change_score(self, step: Step) -> Shown:
        points = self._said.value(step.argument("points"))
        if points.startswith("-"):
            return Shown("change", step.name, f"score {points}", f"takes {points[1:]} from the contact's score")
        return Shown("change", step.name, f"score +{points}", f"adds {points} to the contact's score")

    def _set_owner(self, step: Step) -> Shown:
        if step.argument("person_id") == "None":
            return Shown("change", step.name, "no lead owner", "takes the lead's owner away")
        person = self._said.value(step.argument("person_id"))
        return Shown("change", step.name, f"lead owner {person}", f"makes {person} the owner of the lead")

    def _note(self, step: Step) -> Shown:
        text = self._said.value(step.argument("text"))
        return Shown("change", step.name, f"note: {plain(text)}", f"notes “{text}” on the contact's timeline")

    def _sunset(self, step: Step) -> Shown:
        does = "sends the contact no more marketing, in any flow, until they act"
        return Shown("change", step.name, "no marketing until they act", does)

    def _hand_over(self, step: Step) -> Shown:
        flow = self._said.value(step.argument("flow"))
        return Shown("handover", step.name, f"hand over to {flow}", f"enrolls the contact in {flow}")

    # -- People ---------------------------------------------------------------------------------------------------

    def _ask(self, step: Step) -> Shown:
        subject, source = self._said.value(step.argument("subject")), step.argument("plan") or "nobody"
        plan = self._said.plan(source)
        if plan is None:
            by = plain(source)
            return Shown("approval", step.name, f"approval by {by}", f"asks for an approval of “{subject}” by {by}")
        who, named = who_decides(plan), self._said.named(source)
        told = f"asks {who} to approve “{subject}”; {until_decided(plan)}{named}"
        return Shown("approval", step.name, f"approval by {who}, {expiry(plan)}{named}", told)

    def _task(self, step: Step) -> Shown:
        who, due = self._said.asked(step.argument("to")), self.duration(step.limit)
        gives = f"gives {who} the task “{self._said.value(step.argument('subject'))}”"
        if not waits(step):
            return Shown("task", step.name, f"for {who}, due in {due}, goes on at once", f"{gives}, due in {due}")
        reminded = self._said.reminded(step.argument("remind_every"))
        told = f"{gives}, and waits {due} at the longest until it is done{reminded}"
        return Shown("task", step.name, f"for {who}, due in {due}", told)

    def _assign_lead(self, step: Step) -> Shown:
        within = f"{self.duration(step.limit)} of working time to accept"
        told = f"offers the lead to one rep after the other, each has {within}; while nobody can take it, it waits"
        return Shown("assignment", step.name, f"one rep after the other, each has {within}", told)


_WORDS: Mapping[Verb, Callable[[Words, Step], Shown]] = {
    "send": Words._send,
    "wait": Words._wait,
    "wait_until": Words._wait_until,
    "wait_for_local_time": Words._wait_for_local_time,
    "happened": Words._happened,
    "finish": Words._finish,
    "choose": Words._choose,
    "bracket": Words._bracket,
    "update_contact": Words._update_contact,
    "set_lifecycle": Words._set_lifecycle,
    "change_score": Words._change_score,
    "set_owner": Words._set_owner,
    "note": Words._note,
    "sunset": Words._sunset,
    "hand_over": Words._hand_over,
    "ask": Words._ask,
    "task": Words._task,
    "assign_lead": Words._assign_lead,
}
"""What each verb is called: a new verb gets a row here."""


class _Told(ast.NodeTransformer):
    """Writes for a step that is awaited in a test its name, and for a method of the flow its own."""

    def visit_Await(self, node: ast.Await) -> ast.expr:
        match node.value:
            case ast.Call() as call if verb := verb_of(call):
                return ast.Name(written_name(argument(call, verb, "step")), ast.Load())
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)):
                return ast.Name(name.strip("_").replace("_", " "), ast.Load())
        return node
