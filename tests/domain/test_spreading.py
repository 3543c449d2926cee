from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from domain.spreading import spread

ROOT = Path(__file__).parents[2]


@given(st.text(), st.timedeltas(timedelta(0), timedelta(days=400)))
def test_it_is_whole_seconds_within_the_time(key: str, over: timedelta) -> None:
    apart = spread(key, over)
    assert timedelta(0) <= apart < max(over, timedelta(microseconds=1))
    assert apart % timedelta(seconds=1) == timedelta(0)


def test_keys_spread_evenly() -> None:
    per_minute = Counter(
        spread(f"message {number}", timedelta(hours=1)) // timedelta(minutes=1) for number in range(6000)
    )
    assert set(per_minute) == set(range(60))
    assert max(per_minute.values()) < 150


def test_another_process_finds_the_same() -> None:
    code = "from datetime import *; from domain.spreading import spread; print(spread('a', timedelta(days=9)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == str(spread("a", timedelta(days=9)))
