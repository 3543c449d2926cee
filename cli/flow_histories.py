"""`cauce flows record` and `cauce flows replay`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import workflows
from cli.failures import CommandFailed
from cli.terminal import say
from rehearsal.recording import HISTORIES, forget, record
from rehearsal.replaying import Fate, recorded_histories, replay
from rehearsal.stage import CannotRehearse
from workflows.discovery import FlowClass, discover_flows

ROOT = Path(workflows.__file__).parents[1]


async def record_flows(names: Sequence[str], root: Path = ROOT) -> None:
    """Raises: CommandFailed."""
    _silence_sdk()
    for name, flow in _chosen(names).items():
        try:
            paths = await record(flow, root / HISTORIES)
        except (CannotRehearse, AssertionError) as error:
            raise CommandFailed(f"{name} cannot be recorded: {error}") from error
        say(f"✓ {name}: {len(paths)} histories in {paths[0].parent.relative_to(root).as_posix()}")
        for path in paths:
            say(f"    {path.stem}")


def forget_version(names: Sequence[str], version: str, root: Path = ROOT) -> None:
    """Raises: CommandFailed."""
    forgotten = [name for name, flow in _chosen(names).items() if forget(flow, version, root / HISTORIES)]
    if not forgotten:
        raise CommandFailed(f"no version {version} is recorded in {HISTORIES.as_posix()}: its folders are the versions")
    for name in forgotten:
        say(f"✓ {name}: forgot version {version}")


async def replay_flows(names: Sequence[str], root: Path = ROOT) -> bool:
    """Print what becomes of contacts in each recorded state; answer whether none is stuck. Raises: CommandFailed."""
    _silence_sdk()
    sound = True
    for name, flow in _chosen(names).items():
        fates: Counter[Fate] = Counter()
        for recorded in recorded_histories(root / HISTORIES, [name]):
            verdict = await replay(recorded, flow)
            fates[verdict.fate] += 1
            if verdict.fate is Fate.STUCK:
                say(f"✗ {verdict.told}")
            elif verdict.fate is Fate.CARRIED:
                say(f"  {name}: {recorded.version}/{recorded.name} is carried {verdict.told}")
        sound = sound and not fates[Fate.STUCK]
        counted = ", ".join(f"{count} {fate}" for fate, count in fates.items())
        sign = "✗" if fates[Fate.STUCK] else "✓"
        say(f"{sign} {name}: {counted or f'nothing is recorded: run cauce flows record {name}'}")
    return sound


def _chosen(names: Sequence[str]) -> dict[str, FlowClass]:
    flows = discover_flows()
    if unknown := [name for name in names if name not in flows]:
        raise CommandFailed(f"there is no flow {unknown[0]}: cauce flows lists them ({', '.join(flows)})")
    return {name: flow for name, flow in flows.items() if name in names or not names}


def _silence_sdk() -> None:
    """What it logs of a flow that fails is told here in other words."""
    logging.getLogger("temporalio").addHandler(logging.NullHandler())
