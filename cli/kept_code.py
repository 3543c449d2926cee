"""The project's code as it was at each start of `cauce up`, kept in the data folder.

Workers run such a copy: an edit of a file reaches no running contact before it is deployed, though the sandbox reads a
flow's module anew for each of them. And contacts who are pinned to earlier code finish on it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import workflows

PROJECT = Path(workflows.__file__).parents[1]
PACKAGES = (
    "activities",
    "api",
    "cli",
    "domain",
    "emails",
    "inspection",
    "integrations",
    "rehearsal",
    "runtime",
    "store",
    "worker",
    "workflows",
)
_BUILDS = "builds.json"


class KeptCode:
    """One copy of the packages for each state of them that ever ran here, and the flows' builds that are in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, builds: Mapping[str, str]) -> Path:
        """Keep the code at hand, whose builds these are, by flow; answer where. One copy of it is enough."""
        place = self._folder / _digest()
        if place.exists():
            return place
        draft = place.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        for package in PACKAGES:
            shutil.copytree(PROJECT / package, draft / package, ignore=shutil.ignore_patterns("__pycache__"))
        (draft / _BUILDS).write_text(json.dumps(dict(builds)))
        return draft.rename(place)

    def place_of(self, flow: str, build: str) -> Path | None:
        """A folder for PYTHONPATH in which the flow is of this build; None if that code was never kept."""
        return next((place for place, builds in self._kept() if builds.get(flow) == build), None)

    def forget_all_but(self, needed: Collection[tuple[str, str]]) -> None:
        """Delete the copies that hold none of these flows' builds."""
        for place, builds in list(self._kept()):
            if not any(pair in needed for pair in builds.items()):
                shutil.rmtree(place)

    def _kept(self) -> Iterator[tuple[Path, dict[str, str]]]:
        for listing in sorted(self._folder.glob(f"*/{_BUILDS}")):
            if listing.parent.suffix != ".draft":
                yield listing.parent, json.loads(listing.read_text())


def _digest() -> str:
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(PROJECT)}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
