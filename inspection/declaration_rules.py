"""Rules for what a flow declares: its name, `about`, and its settings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from domain.flows import EnrollInactive, FlowSettings, FlowType, OnEdit
from emails.folder import NO_FLOWS
from inspection.declarations import listened, reserved_event, text_of, unknown_words
from inspection.faults import Fault
from inspection.flow_source import FlowSource, Setting, dotted, keywords_of
from inspection.layout import Layout
from inspection.outline import steps
from inspection.step_rules import SNAKE_CASE

_REQUIRED = ("title", "goal", "owner", "on_edit")
_UNIT = re.compile(r".*_(seconds|minutes|hours|days|weeks|months|after|within)")
_KEY = re.compile(r"\{(\w+)\}")


def flow_is_named_like_its_file(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    name = source.path.stem
    decorators = [ast.unparse(decorator) for decorator in source.flow_class.decorator_list]
    wanted = f'write @workflow.defn(name="{name}")'
    if not SNAKE_CASE.fullmatch(name):
        yield source.fault(1, f"the file {source.path.name} is not named in snake_case", "rename it")
    elif name in NO_FLOWS:
        yield source.fault(1, f"emails/{name}/ is no flow's, so no flow can be called {name}", "rename it")
    elif not decorators:
        yield source.fault(None, f"{source.class_name} is not defined as a workflow", wanted)
    elif decorators != [f"workflow.defn(name={name!r})"]:
        line = source.flow_class.decorator_list[0].lineno
        yield source.fault(line, f"the workflow is not named just like its file: @{', @'.join(decorators)}", wanted)


def about_is_complete(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    if source.about_line is None:
        yield source.fault(None, f"{source.class_name} declares nothing", "write about = FlowType(…)")
        return
    if not source.about:
        yield source.fault(source.about_line, "about is not spelt out", "write about = FlowType(title=…, …)")
        return
    for name in _REQUIRED:
        if name not in source.about:
            yield source.fault(source.about_line, f"about has no {name}", f"add {name}=… to FlowType")
    yield from unknown_words(source, source.about, "FlowType", FlowType.model_fields)
    for name in ("title", "owner"):
        if name in source.about and not (text_of(source.about[name].value) or "").strip():
            yield source.fault(source.about[name].line, f"{name} says nothing", "write it as a literal")
    on_edit = source.about.get("on_edit")
    if on_edit and dotted(on_edit.value) not in {f"OnEdit.{choice.name}" for choice in OnEdit}:
        mend = "write OnEdit.FOLLOW or OnEdit.PIN"
        yield source.fault(on_edit.line, f"on_edit is {ast.unparse(on_edit.value)}", mend)
    if "listens" in source.about and listened(source) is None:
        yield source.fault(source.about["listens"].line, "listens is computed", 'write frozenset({"…"})')
    for event in sorted(listened(source) or ()):
        line = source.about["listens"].line
        if not SNAKE_CASE.fullmatch(event):
            yield source.fault(line, f"the event {event} in listens is not in snake_case", "rename it")
        elif why := reserved_event(event):
            yield source.fault(line, f"the event {event} in listens {why}", "delete it")
    yield from _faults_of_enrolling(source)


def _faults_of_enrolling(source: FlowSource) -> Iterator[Fault]:
    enrolls = source.about.get("enrolls")
    if enrolls is None or (isinstance(enrolls.value, ast.Constant) and enrolls.value.value is None):
        return
    words = keywords_of(enrolls.value, "EnrollInactive")
    if not words:
        yield source.fault(enrolls.line, "enrolls is not spelt out", "write EnrollInactive(inactive_for=…, at_most=…)")
        return
    for name, field in EnrollInactive.model_fields.items():
        if field.is_required() and name not in words:
            yield source.fault(enrolls.line, f"enrolls has no {name}", f"add {name}=… to EnrollInactive")
    yield from unknown_words(source, words, "EnrollInactive", EnrollInactive.model_fields)
    if "inactive_for" in words and isinstance(words["inactive_for"].value, ast.Constant):
        what = f"enrolls has inactive_for={ast.unparse(words['inactive_for'].value)}, which has no unit"
        yield source.fault(words["inactive_for"].line, what, "write timedelta(…)")


def renamed_steps_are_known(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Old names are gone from the code, and each leads to a step that is there."""
    if "renamed" not in source.about:
        return
    declared = source.about["renamed"]
    names = _literal_names(declared.value)
    if names is None:
        yield source.fault(declared.line, "renamed is computed", 'write {"old-name": "new-name"}')
        return
    present = {_KEY.sub("{}", step.name) for step in steps(source.outline)}
    shapes = {_KEY.sub("{}", old): _KEY.sub("{}", new) for old, (new, _) in names.items()}
    for old, (new, line) in names.items():
        seen, name = [_KEY.sub("{}", old)], _KEY.sub("{}", new)
        while name in shapes and name not in seen:
            seen.append(name)
            name = shapes[name]
        if name in seen:
            if old != min(names, key=lambda known: (_KEY.sub("{}", known) not in seen, known)):
                continue  # told once of each circle
            yield source.fault(
                line, f"{old} is renamed in a circle", "keep the names that the code had, in their order"
            )
        elif _KEY.sub("{}", old) in present:
            yield source.fault(
                line, f"{old} is renamed to {new}, but is still a step", "rename the step, or delete this"
            )
        elif set(_KEY.findall(new)) - set(_KEY.findall(old)):
            yield source.fault(line, f"{old} has not the key that {new} has", "write the same key in both")
        elif name not in present:
            yield source.fault(line, f"{old} is renamed to {new}, which is no step", "name the step as it is now")


def _literal_names(node: ast.expr) -> dict[str, tuple[str, int]] | None:
    if not isinstance(node, ast.Dict):
        return None
    names: dict[str, tuple[str, int]] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        old, new = text_of(key), text_of(value)
        if old is None or new is None:
            return None
        names[old] = new, value.lineno
    return names


def settings_are_described(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Settings are a class of the module; each has a default and a description, and times are durations."""
    if source.settings_class is None:
        yield source.fault(None, f"{source.class_name} names no settings", "write Flow[…Settings]")
        return
    if source.settings_class == "FlowSettings":
        return
    if source.settings is None:
        mend = f"write class {source.settings_class}(FlowSettings) above the flow"
        yield source.fault(None, f"the module has no class {source.settings_class}", mend)
        return
    classes = [
        node for node in source.module.body if isinstance(node, ast.ClassDef) and node.name == source.settings.name
    ]
    if [dotted(base) for base in classes[0].bases] != ["FlowSettings"]:
        mend = f"write class {source.settings.name}(FlowSettings)"
        yield source.fault(source.settings.line, f"{source.settings.name} is not just FlowSettings with fields", mend)
    for setting in source.settings.fields:
        yield from _faults_of_setting(source, setting)


def _faults_of_setting(source: FlowSource, setting: Setting) -> Iterator[Fault]:
    name, annotation = setting.name, ast.unparse(setting.annotation)
    if name.startswith(("_", "model_")) or hasattr(FlowSettings, name):
        yield source.fault(setting.line, f"the setting {name} means something else to pydantic", "rename it")
    if setting.default is None or dotted(setting.default) == "..." or ast.unparse(setting.default) == "...":
        yield source.fault(setting.line, f"the setting {name} has no default", "add one: enrollments may leave it out")
    if not (setting.description or "").strip():
        mend = "write Field(default=…, description=…)"
        yield source.fault(setting.line, f"the setting {name} has no description", mend)
    words = set(re.findall(r"\w+", annotation))
    if "timedelta" in words:
        yield source.fault(setting.line, f"the setting {name} is a {annotation}", "make it a Duration")
    elif words & {"int", "float"} and (_UNIT.fullmatch(name) or _becomes_a_time(source, name)):
        yield source.fault(setting.line, f"the setting {name} is a time in an {annotation}", "make it a Duration")
    elif "Duration" in words and isinstance(setting.default, ast.Constant) and setting.default.value is not None:
        what = f"the setting {name} has the default {ast.unparse(setting.default)}, which has no unit"
        yield source.fault(setting.line, what, "write timedelta(…)")


def _becomes_a_time(source: FlowSource, name: str) -> bool:
    """Whether the flow makes a duration of a setting: `timedelta(days=self.settings.<name>)`."""
    for call in ast.walk(source.flow_class):
        if isinstance(call, ast.Call) and dotted(call.func).rpartition(".")[2] == "timedelta":
            used = {dotted(node) for node in ast.walk(call) if isinstance(node, ast.Attribute)}
            if f"self.settings.{name}" in used:
                return True
    return False
