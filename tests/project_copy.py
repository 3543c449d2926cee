"""A copy of this project in a folder of the test's own, for what writes into a project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from cli.new_flow import PLACES

ROOT = Path(__file__).parents[1]


def copy_project(folder: Path) -> Path:
    """The project as it is now, without what .gitignore names; answer the folder. Needs no git, nor a clean tree."""
    left_out = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split())]
    # Tolerates what goes while it is walked: other tests write files here, and remove them.
    for above, folders, files in os.walk(ROOT):
        folders[:] = (name for name in folders if not _is_any_of(name, left_out))
        target = folder / Path(above).relative_to(ROOT)
        for name in files:
            if not _is_any_of(name, left_out):
                target.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    shutil.copy2(Path(above, name), target)
    return folder


def without_flow(project: Path, flow: str) -> Path:
    """The same project, rid of a flow that somebody may have given it."""
    for place in PLACES:
        path = project / place.format(flow)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return project


def running_from(folder: Path, *first: Path) -> dict[str, str]:
    """An environment in which `python` imports the copy's packages, with programs from `first` before others."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith(("CAUCE_", "TEMPORAL_"))}
    path = os.pathsep.join([*map(str, first), os.environ["PATH"]])
    return {**foreign, "PATH": path, "PYTHONPATH": str(folder)}


def contents(folder: Path, without: Iterable[str] = ("__pycache__",)) -> dict[str, bytes]:
    """Every file below a folder, by its path from there."""
    left_out = set(without)
    files = (path for path in folder.rglob("*") if path.is_file() and not left_out & set(path.parts))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _is_any_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
