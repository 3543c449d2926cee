"""`cauce new-flow`: a flow with its messages, its test and its histories, from a few words; nothing is overwritten."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from cli.blueprint import Blueprint, checked_flow_name, drawn_up
from cli.failures import CommandFailed
from cli.flows_check import HERE, check_flows
from cli.scaffolding import scaffolded
from cli.steps_language import event_name, read_steps
from cli.terminal import say
from domain.flows import OnEdit
from emails.topics import Topics
from inspection.checks import flow_names
from inspection.layout import Layout

GOAL = "activated"
STEPS = "welcome, clicked within 3 days? tip : reminder, wait 7 days, last-call"
LONGEST_TEXT = 80
PLACES = (
    "workflows/{}.py",
    "emails/{}",
    "emails/{}.py",
    "tests/flows/test_{}.py",
    "tests/histories/{}",
    "docs/flows/{}.md",
)
"""What belongs to a flow alone, as seen from the project's root."""
_MOVED_LAST = "workflows"
"""A flow's module: with it, the flow begins to exist."""


@dataclass(frozen=True)
class Given:
    """What the command line says of a new flow; None is asked for."""

    title: str | None
    goal: str | None
    steps: str | None
    owner: str
    on_edit: OnEdit

    def with_defaults(self, name: str) -> Given:
        title = self.title if self.title is not None else name.replace("_", " ").capitalize()
        goal = self.goal if self.goal is not None else GOAL
        return Given(title, goal, STEPS if self.steps is None else self.steps, self.owner, self.on_edit)


def new_flow(name: str, given: Given, *, ask: bool, dry_run: bool, layout: Layout = HERE) -> bool:
    """Ask for what is not given, write the flow's files, record and check it, and run its test.

    Returns: whether all of it is sound. Raises: CommandFailed, before anything is written.
    """
    checked_flow_name(name)
    _require_room(name, layout)
    blueprint = _blueprint(name, _asked(name, given) if ask else given.with_defaults(name))
    _require_flows(blueprint, layout)
    files = scaffolded(blueprint, Topics(layout.emails))
    if dry_run:
        for path in sorted([*files, f"tests/histories/{name}/", f"docs/flows/{name}.md"]):
            say(path)
        return True
    write(files, layout.root)
    for path in sorted(files):
        say(f"✓ {path}")
    sound = _finish(blueprint, layout)
    say(
        "\n".join(_what_next(blueprint))
        if sound
        else "the files are there: mend what is wrong, then run `cauce flows record`, `cauce flows check` and the test"
    )
    return sound


def _blueprint(name: str, given: Given) -> Blueprint:
    assert given.title is not None and given.goal is not None and given.steps is not None  # noqa: S101, PT018
    title, owner = checked_text(given.title, "title"), checked_text(given.owner, "owner")
    goal = event_name(given.goal)
    return drawn_up(name, title, goal, owner, given.on_edit, read_steps(given.steps, goal))


def checked_text(text: str, of: str) -> str:
    """Text that stands in the flow's code as it is. Raises: CommandFailed."""
    text = text.strip()
    if not text or len(text) > LONGEST_TEXT:
        raise CommandFailed(f"the {of} has {len(text)} characters: write some, {LONGEST_TEXT} at the most")
    if not text.isprintable() or set(text) & set('"\\'):
        raise CommandFailed(f"the {of} {text!r} cannot stand in code as it is: leave out quotes, backslashes and tabs")
    return text


def _require_room(name: str, layout: Layout) -> None:
    if not layout.test(name).parent.is_dir():
        raise CommandFailed(
            f"{layout.root} is an installation without tests/: write new flows in a checkout of the project, and deploy"
        )
    for place in PLACES:
        path = layout.root / place.format(name)
        if path.exists() or path.is_symlink():
            raise CommandFailed(f"{layout.seen(path)} is there already, and is not overwritten: choose another name")


def _require_flows(flow: Blueprint, layout: Layout) -> None:
    """Raises: CommandFailed if contacts are handed over to a flow that is not there."""
    for other in flow.flows:
        if other == flow.name or not layout.module(other).is_file():
            there_are = ", ".join(name for name in flow_names(layout) if name != flow.name) or "none yet"
            raise CommandFailed(f"contacts cannot be handed over to {other}: there are {there_are}")


def _asked(name: str, given: Given) -> Given:
    """Asked at the terminal, each until the answer is right."""
    defaults = given.with_defaults(name)
    title, goal, steps = given.title, given.goal, given.steps
    if title is None:
        title = _prompt("What does the flow do, in a line", defaults.title, lambda text: checked_text(text, "title"))
    if goal is None:
        goal = _prompt("Which event is its goal", defaults.goal, event_name)
    aim = event_name(goal)
    if steps is None:
        say(f"Its first steps: messages, `wait 3 days`, and questions such as `{STEPS.split(', ')[1]}`")
        steps = _prompt("Steps", defaults.steps, lambda text: read_steps(text, aim) and text)
    return Given(title, goal, steps, given.owner, given.on_edit)


def _prompt(text: str, default: str | None, check: Callable[[str], object]) -> str:
    def checked(answer: str) -> str:
        try:
            check(answer)
        except CommandFailed as error:
            raise typer.BadParameter(str(error)) from None
        return answer

    return str(typer.prompt(text, default=default, value_proc=checked))


def write(files: dict[str, str], root: Path) -> None:
    """Write files that are not there, all or none: written apart, and then moved to their places."""
    places = _places(files)
    moved: list[Path] = []
    with tempfile.TemporaryDirectory(prefix=".new-flow-", dir=root) as folder:
        apart = Path(folder)
        for name, text in files.items():
            path = apart / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        _format([apart / name for name in files if name.endswith(".py")], root)
        try:
            for place in places:
                moved.append(root / place)
                _move(apart / place, root / place, moved)
        except BaseException:
            for path in moved:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            raise


def _places(files: Sequence[str] | dict[str, str]) -> list[str]:
    """What is moved as one: files, and a folder for all messages."""
    places = {"/".join(name.split("/")[:2]) if name.startswith("emails/") else name for name in files}
    return sorted(places, key=lambda place: (place.startswith(_MOVED_LAST), place))


def _move(source: Path, target: Path, moved: list[Path]) -> None:
    """Raises: CommandFailed if something has come to stand there meanwhile, which is left alone."""
    try:
        if source.is_dir():
            target.mkdir()  # fails where something is; a folder that is empty may be replaced
            source.replace(target)
        else:
            os.link(source, target)
    except FileExistsError:
        moved.remove(target)
        raise CommandFailed(f"{target.name} has come to be there meanwhile, and is not overwritten") from None


def _format(paths: list[Path], root: Path) -> None:
    """As `make check` wants it. Without ruff, which is there for development only, it stays as it is."""
    settings = root / "pyproject.toml"
    command = [sys.executable, "-m", "ruff", "format", "--quiet", "--no-cache", "--config", str(settings)]
    subprocess.run([*command, *map(str, paths)], check=False, capture_output=True)


def _finish(flow: Blueprint, layout: Layout) -> bool:
    """Histories, page, checks and test of a flow whose files are there; answer whether all is well."""
    from cli.flow_histories import record_flows
    from cli.runner import run
    from inspection.pages import write_pages

    importlib.invalidate_caches()
    say("recording how contacts go through it …")
    try:
        run(record_flows([flow.name], layout.root))
    except CommandFailed as error:
        say(f"✗ {error}")
        return False
    for page in write_pages(layout.root):
        say(f"✓ {page.path}")
    lines, sound = check_flows([flow.name], layout)
    for line in lines:
        say(line)
    say("running its test …")
    return _test_passes(flow.name, layout) and sound


def _test_passes(name: str, layout: Layout) -> bool:
    test = layout.seen(layout.test(name))
    # schemathesis is for tests of the API, and takes a second to be loaded.
    words = ["-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "--no-header"]
    command = [sys.executable, "-m", "pytest", *words, test]
    done = subprocess.run(command, cwd=layout.root, capture_output=True, text=True, check=False)
    if done.returncode:
        say(f"✗ {test}\n{done.stdout}{done.stderr}")
    else:
        say(f"✓ {test}: {done.stdout.strip().splitlines()[-1]}")
    return done.returncode == 0


def _what_next(flow: Blueprint) -> list[str]:
    quick = " ".join(f"--set {setting.name}=PT10S" for setting in flow.settings if setting.role is None)
    return [
        "",
        f"{flow.name} does what it says. Yours to edit; texts, times and the goal's target are a beginning:",
        *_aligned(
            (f"workflows/{flow.name}.py", "the story, its settings, its goal"),
            (f"emails/{flow.name}/", "what its messages say, in each language"),
            (f"tests/flows/test_{flow.name}.py", "what contacts live through"),
        ),
        "then:",
        *_aligned(
            (f"cauce simulate {flow.name}", "what a thousand contacts would make of it"),
            ("cauce up", "everything on this machine; restart it if it runs"),
        ),
        f"  cauce enroll {flow.name} ada@example.com {quick}",
        "docs/adding-a-flow.md tells the rest.",
    ]


def _aligned(*rows: tuple[str, str]) -> Iterator[str]:
    width = max(len(first) for first, _ in rows)
    return (f"  {first:{width}}   {second}" for first, second in rows)
