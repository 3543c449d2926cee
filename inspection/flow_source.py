"""A flow as its source tells it. Nothing of it is imported or run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inspection.faults import Fault, UnreadableFlow
from inspection.journey_source import Journey, read_journey
from inspection.outline import Block
from inspection.written_values import Names, constants_of


@dataclass(frozen=True)
class Declared:
    """One keyword of `FlowType(…)`."""

    line: int
    value: ast.expr


@dataclass(frozen=True)
class Setting:
    """One field of a flow's settings. The default of `Field(…)` is its first argument or `default=`."""

    line: int
    name: str
    annotation: ast.expr
    default: ast.expr | None
    description: str | None


@dataclass(frozen=True)
class SettingsSource:
    name: str
    line: int
    fields: tuple[Setting, ...]


@dataclass(frozen=True)
class FlowSource:
    """The parts of a flow's module. `about` and `settings` are empty where the source does not spell them out."""

    path: Path
    module: ast.Module
    flow_class: ast.ClassDef
    class_name: str
    workflow_name: str | None
    line: int
    """Of the class."""
    about_line: int | None
    about: Mapping[str, Declared]
    settings_class: str | None
    settings: SettingsSource | None
    names: Names
    """That the flow sees around it."""
    journey: Journey

    @property
    def file(self) -> str:
        """The path as seen from the project's root."""
        return project_path(self.path)

    def fault(self, line: int | None, what: str, mend: str) -> Fault:
        """A fault of this file; without a line, of its class."""
        return Fault(self.file, line or self.line, what, mend)

    @property
    def outline(self) -> Block:
        """What a contact lives through, with the methods that the journey calls in their place."""
        return self.journey.outline

    @classmethod
    def load(cls, path: Path) -> FlowSource:
        """Raises: UnreadableFlow if the file is missing, is not Python, or holds not just one flow."""
        module = parse(path)
        flow_class = _flow_class(path, module)
        about_line, about = _about(flow_class)
        settings_class = _settings_class(flow_class)
        names = Names(constants_of(module))
        return cls(
            path=path,
            module=module,
            flow_class=flow_class,
            class_name=flow_class.name,
            workflow_name=_workflow_name(flow_class),
            line=flow_class.lineno,
            about_line=about_line,
            about=about,
            settings_class=settings_class,
            settings=_settings(module, settings_class),
            names=names,
            journey=read_journey(flow_class, names, project_path(path)),
        )


def project_path(path: Path) -> str:
    """Write the path of a file in one of the project's packages as seen from the project's root."""
    return f"{path.parent.name}/{path.name}"


def parse(path: Path) -> ast.Module:
    """Raises: UnreadableFlow if the file is missing or is not Python."""
    file = project_path(path)
    try:
        return ast.parse(path.read_bytes(), filename=file)
    except FileNotFoundError:
        fault = Fault(file, 1, "there is no such file", f"write it, or name one of the flows in {path.parent.name}/")
    except OSError as error:
        fault = Fault(file, 1, f"cannot be read ({error.strerror})", "make it a file that can be read")
    except SyntaxError as error:
        fault = Fault(file, error.lineno or 1, f"is not Python ({error.msg})", "mend it there")
    except (ValueError, RecursionError, MemoryError) as error:
        fault = Fault(file, 1, f"is not Python ({error})", "write it anew")
    raise UnreadableFlow(fault)


def dotted(node: ast.AST) -> str:
    """Write `workflow.defn` for its node; empty for anything but names and attributes."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def flow_classes(module: ast.Module) -> list[ast.ClassDef]:
    """The classes of a module that inherit from Flow."""
    return [node for node in module.body if isinstance(node, ast.ClassDef) and any(map(_is_flow, node.bases))]


def _flow_class(path: Path, module: ast.Module) -> ast.ClassDef:
    found = flow_classes(module)
    if len(found) == 1:
        return found[0]
    if found:
        second = f"has a second flow, {found[1].name}"
        raise UnreadableFlow(Fault(project_path(path), found[1].lineno, second, "give it a file of its own"))
    mend = "write one: class Name(Flow[NameSettings])"
    raise UnreadableFlow(Fault(project_path(path), 1, "holds no class of a flow", mend))


def _is_flow(base: ast.expr) -> bool:
    base = base.value if isinstance(base, ast.Subscript) else base
    return dotted(base).rpartition(".")[2] == "Flow"


def _workflow_name(flow_class: ast.ClassDef) -> str | None:
    for decorator in flow_class.decorator_list:
        if isinstance(decorator, ast.Call) and dotted(decorator.func) == "workflow.defn":
            for keyword in decorator.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return None


def _about(flow_class: ast.ClassDef) -> tuple[int | None, Mapping[str, Declared]]:
    for node in flow_class.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="about")]) | ast.AnnAssign(target=ast.Name(id="about")):
                return node.lineno, keywords_of(node.value, "FlowType")
    return None, {}


def keywords_of(node: ast.AST | None, called: str) -> dict[str, Declared]:
    """The keywords of `node` if it is a call of that name, else none."""
    if not isinstance(node, ast.Call) or dotted(node.func).rpartition(".")[2] != called:
        return {}
    return {word.arg: Declared(word.value.lineno, word.value) for word in node.keywords if word.arg}


def _settings_class(flow_class: ast.ClassDef) -> str | None:
    for base in flow_class.bases:
        if _is_flow(base) and isinstance(base, ast.Subscript) and dotted(base.slice):
            return dotted(base.slice)
    return None


def _settings(module: ast.Module, name: str | None) -> SettingsSource | None:
    for node in module.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            fields = [statement for statement in node.body if isinstance(statement, ast.AnnAssign)]
            settings = tuple(setting for field in fields for setting in _setting(field))
            return SettingsSource(node.name, node.lineno, settings)
    return None


def _setting(field: ast.AnnAssign) -> list[Setting]:
    if not isinstance(field.target, ast.Name):
        return []
    default, description = field.value, None
    if isinstance(field.value, ast.Call) and dotted(field.value.func).rpartition(".")[2] == "Field":
        keywords = keywords_of(field.value, "Field")
        default = keywords["default"].value if "default" in keywords else next(iter(field.value.args), None)
        if "description" in keywords:
            description = _text(keywords["description"].value)
    return [Setting(field.lineno, field.target.id, field.annotation, default, description)]


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
