"""What the project's documents say and the code does not: one line a fault, `file:line: what: how to mend it`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.deployment.cauce_command import COMMANDS, SUBCOMMANDS, fault_of
from tests.deployment.variables import SETTINGS, known_to_temporal
from tests.docs.documents import Document, Mention, documents

_SOURCES = ("md", "py", "toml", "yml", "yaml", "lock", "sh", "mjml", "css", "html", "json", "txt", "mako")
_BARE_SOURCES = ("md", "py", "yml", "lock", "sh", "mjml", "css", "mako")
"""A file name of any other kind may, without a folder, well be somebody else's."""
_MADE_LATER = (".venv", ".cauce", ".env", "build")
_VARIABLE = re.compile(r"\b(?:CAUCE|TEMPORAL|SENDGRID)_[A-Z0-9_]*[A-Z0-9](?:_?[*…])?")
_API_CALL = re.compile(r"(?:\b(GET|POST|PUT|PATCH|DELETE) )?(?<![\w.-])(/v1(?:/[\w{}<>.:-]+)*/?)(?:\?([\w=&{}<>.-]+))?")
_SHELL_API_CALL = re.compile(r"https?://[\w.:-]+(/v1(?:/[\w{}<>.:-]+)*/?)(?:\?([\w=&{}<>.-]+))?")
_OTHER_CALL = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/(?!v1\b)[\w{}<>./-]*)")


@dataclass
class Project:
    """`openapi` is the API's own description; `serves` tells of any method and path whether they lead anywhere."""

    root: Path
    openapi: Mapping[str, Any]
    serves: Callable[[str, str], bool]

    @cached_property
    def documents(self) -> list[Document]:
        return documents(self.root)

    @cached_property
    def make_targets(self) -> list[str]:
        return re.findall(r"^([a-z]+):", (self.root / "Makefile").read_text(), re.MULTILINE)

    @cached_property
    def top(self) -> set[str]:
        return {path.name for path in self.root.iterdir()}

    @cached_property
    def file_names(self) -> set[str]:
        folders = [path for path in self.root.iterdir() if path.is_dir() and path.name not in (".git", *_MADE_LATER)]
        below = {path.name for folder in folders for path in folder.rglob("*.*")}
        return below | self.top

    def document(self, name: str) -> Document | None:
        return next((document for document in self.documents if document.name == name), None)


def paths(project: Project) -> Iterator[str]:
    """Code spans that look like a file or folder of the project are one. `<flow>` and `*` stand for any name."""
    for document in project.documents:
        for span in document.spans:
            path = re.split(r"::|[:#]", span.text)[0].removeprefix("./")
            if not re.fullmatch(r"[\w.<>{}*-]+(/[\w.<>{}*-]+)*/?", path) or path.endswith("."):
                continue
            first, slash, _ = path.partition("/")
            ending = path.rpartition(".")[2] if "." in path.rpartition("/")[2] else ""
            if first in _MADE_LATER or any(word in re.split(r"[/.]", path) for word in document.invented):
                continue
            if slash and (first in project.top or ending in _SOURCES):
                if not list(project.root.glob(re.sub(r"<[^>]*>|\{[^}]*\}", "*", path.rstrip("/")))):
                    yield _fault(document, span, f"there is no {path}", "write the path as it is from the root")
            elif not slash and ending in _BARE_SOURCES and "<" not in path and path not in project.file_names:
                yield _fault(document, span, f"no file is called {path}", "name one that exists")


def links(project: Project) -> Iterator[str]:
    """Relative links lead to files, and anchors to headings."""
    for document in project.documents:
        for link in document.links:
            if re.match(r"[a-z]+:", link.text):
                continue
            file, _, anchor = link.text.partition("#")
            target = (document.path.parent / file).resolve() if file else document.path
            if not target.exists():
                yield _fault(
                    document, link, f"the link to {link.text} leads nowhere", "it starts at this file's folder"
                )
            elif anchor and target.suffix == ".md" and anchor not in Document(project.root, target).anchors:
                yield _fault(
                    document, link, f"there is no heading #{anchor} in {target.name}", "name it like a heading"
                )


def commands(project: Project) -> Iterator[str]:
    """Commands of `cauce` and targets of `make` exist, with the options that are given."""
    for document in project.documents:
        for mention, (program, *words) in document.commands:
            if program == "make":
                yield from _make_faults(project, document, mention, words)
            elif program == "cauce" and (fault := _command_fault(words, document.invented)):
                yield _fault(document, mention, fault, "see `cauce --help`")


def variables(project: Project) -> Iterator[str]:
    """Variables are read by something."""
    for document in project.documents:
        for line in document.lines:
            for variable in _VARIABLE.findall(line.text):
                if not _is_read(variable):
                    yield _fault(document, line, f"nothing reads {variable}", "see runtime/settings.py")


def api_calls(project: Project) -> Iterator[str]:
    """What is called is served: its path, its method and its query parameters."""
    for document in project.documents:
        for span in document.spans:
            for method, path, query in _API_CALL.findall(span.text):
                if fault := _call_fault(project, method, path, query):
                    yield _fault(document, span, fault, "see /docs of the API")
            for method, path in _OTHER_CALL.findall(span.text):
                if not project.serves(method, path):
                    yield _fault(document, span, f"nothing is served at {method} {path}", "see api/app.py")
        for line in document.shell_lines:
            for path, query in _SHELL_API_CALL.findall(line.text):
                if fault := _call_fault(project, "", path, query):
                    yield _fault(document, line, fault, "see /docs of the API")


def undocumented(project: Project) -> Iterator[str]:
    """Every setting with its default, every command and every make target is described for operators."""
    operating, readme = project.document("docs/operating.md"), project.document("README.md")
    assert operating is not None
    rows = {
        found[1]: found[2]
        for line in operating.prose
        if (found := re.match(r"\| `([A-Z_]+)` \| `?([^|]*?)`? \|", line.text))
    }
    for variable, field in SETTINGS.items():
        default = _default(field.default)
        if variable not in rows:
            yield f"docs/operating.md: {variable} is missing: add it to the table of settings"
        elif rows[variable] != default:
            yield f"docs/operating.md: {variable} has the default {rows[variable]}: it is {default}"
    told = [words for _, words in operating.commands]
    for command in [(command,) for command in COMMANDS] + list(SUBCOMMANDS):
        if not any(_names(words, command) for words in told):
            yield f"docs/operating.md: `cauce {' '.join(command)}` is missing: say what it does"
    told += [words for _, words in readme.commands] if readme else []
    for target in project.make_targets:
        if ["make", target] not in [words[:2] for words in told]:
            yield f"README.md or docs/operating.md: `make {target}` is missing: say what it does"


def _names(words: list[str], command: tuple[str, ...]) -> bool:
    """Whether words are that command: with any arguments, but a group of commands as it is, without one of them."""
    said = words[:1] == ["cauce"] and tuple(words[1 : 1 + len(command)]) == command
    is_group = command in {(group,) for group, _ in SUBCOMMANDS}
    return said and not (is_group and len(words) > 1 + len(command))


CHECKS: tuple[Callable[[Project], Iterator[str]], ...] = (paths, links, commands, variables, api_calls, undocumented)


def _fault(document: Document, mention: Mention, what: str, mend: str) -> str:
    return f"{document.name}:{mention.line}: {what}: {mend}"


def _make_faults(project: Project, document: Document, mention: Mention, words: list[str]) -> Iterator[str]:
    targets = [word for word in words if "=" not in word and not word.startswith("-")]
    for target in targets:
        if re.fullmatch(r"[a-z]+", target) and target not in project.make_targets:
            yield _fault(document, mention, f"there is no `make {target}`", "see `make help`")
    for word in words:
        if word.startswith("ARGS=") and targets == ["up"]:
            options = word.removeprefix("ARGS=").split()
            if fault := _command_fault(["up", *options], document.invented):
                yield _fault(document, mention, fault, "see `cauce up --help`")


def _command_fault(words: list[str], invented: set[str]) -> str | None:
    """A command that is only named, or given with a place left open, is checked by its name."""
    open_place = any(re.search(r"[<…{]|^\.\.\.$", word) for word in words)
    named = len(words) == 1 or tuple(words) in SUBCOMMANDS
    if words and (named or open_place or invented & set(words)) and words[0] in COMMANDS:
        return None
    return fault_of(words)


def _is_read(variable: str) -> bool:
    if variable[-1] in "*…":
        prefix = variable[:-1]
        return prefix == "TEMPORAL_" or any(name.startswith(prefix) for name in SETTINGS)
    return variable in SETTINGS or (variable.startswith("TEMPORAL_") and known_to_temporal(variable))


def _call_fault(project: Project, method: str, path: str, query: str) -> str | None:
    operations = [operations for known, operations in project.openapi["paths"].items() if _fits(path, known)]
    if path.endswith("/") or path == "/v1":  # all that is below
        return None if any(known.startswith(path) for known in project.openapi["paths"]) else f"nothing is below {path}"
    if not operations:
        return f"the API has no {path}"
    of_method = (
        [known[method.lower()] for known in operations if method.lower() in known]
        if method
        else [operation for known in operations for operation in known.values()]
    )
    if not of_method:
        return f"the API has no {method} {path}"
    known_parameters = {parameter["name"] for operation in of_method for parameter in operation.get("parameters", [])}
    for parameter in filter(None, query.split("&")):
        if parameter.partition("=")[0] not in known_parameters:
            return f"{path} takes no {parameter.partition('=')[0]}"
    return None


def _fits(path: str, template: str) -> bool:
    said, known = path.strip("/").split("/"), template.strip("/").split("/")
    return len(said) == len(known) and all(
        there == here or there.startswith("{") for here, there in zip(said, known, strict=True)
    )


def _default(value: object) -> str:
    if value in (None, (), timedelta(0)):
        return "none"
    if isinstance(value, timedelta):
        seconds = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
        unit = next(unit for unit, length in seconds.items() if value.total_seconds() % length == 0)
        return f"{value.total_seconds() / seconds[unit]:g}{unit}"
    return f"{value:g}" if isinstance(value, float) else str(value).rstrip("/")
