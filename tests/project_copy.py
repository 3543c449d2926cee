"""A copy of this project in a folder of the test's own, for what writes into a project."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy_project(folder: Path) -> Path:
    """What git knows or would take in, as it is now; answer the folder."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    for name in set(filter(None, names)):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(ROOT / name, target)
        except FileNotFoundError:  # deleted here, and not yet committed
            continue
    return folder


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
