"""Measures, prints a table, and writes bench/results.json: `make bench`, or `python -m bench enrolling flowing`.

Each figure is a ratio to something bare that is measured beside it, in turns, in the same run, unless its name has a
unit. What it is compared to, its module says. A figure that is not measured this time stays as it was.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measuring import Results

RESULTS = Path(__file__).with_name("results.json")
TOPICS = (
    "enrolling",
    "flowing",
    "drip_steps",
    "sending",
    "broadcasting",
    "segments",
    "webhooks",
    "bulk_enrolling",
    "importing",
    "reporting",
    "waking",
    "journey",
)


async def main(topics: list[str]) -> None:
    console = Console()
    for topic in topics or TOPICS:
        began = time.perf_counter()
        measured: Results = await importlib.import_module(f"bench.{topic}").measure()
        keep(measured)
        console.print(table(topic, measured, time.perf_counter() - began))
    await asyncio.sleep(0.1)  # see cli.runner


def keep(measured: Results) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known |= {name: float(f"{value:.4g}") for name, value in measured.items()}
    RESULTS.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n")


def table(topic: str, measured: Results, seconds: float) -> Table:
    shown = Table("figure", "value", title=f"{topic}, in {seconds:.0f} s", title_justify="left")
    for name, value in measured.items():
        shown.add_row(name, f"{value:,.4g}")
    return shown


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
