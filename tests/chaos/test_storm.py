"""What messages live through while processes are killed: none is lost, none comes twice, doubts are listed.

Forty in the suite; a thousand, with the figures of each storm, by `make storm`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from runtime.settings import Settings
from store.ledger_tables import MessageRow
from tests.api.caller import Caller, calling, client_of_nobody
from tests.chaos.storm import SECRET, SERIES, Storm
from tests.waiting import until

MESSAGES = int(os.environ.get("CAUCE_TEST_STORM", "40"))
PATIENCE = 120 + MESSAGES / 2
pytestmark = pytest.mark.timeout(300 + MESSAGES)


@pytest.mark.parametrize("disturbed", ["worker", "postgres", "temporal"])
async def test_in_a_storm_no_message_is_lost_none_comes_twice_and_every_doubt_is_listed(
    tmp_path: Path, disturbed: str
) -> None:
    began = time.monotonic()
    async with Storm(tmp_path, seed=MESSAGES).raging() as storm:
        await storm.enroll(MESSAGES // len(SERIES))
        if disturbed == "worker":
            disturbing = asyncio.create_task(storm.kill_workers(MESSAGES // 4))
        else:
            await until(lambda: len(storm.sendgrid.accepted) > MESSAGES // 4, within=PATIENCE)
            restart = storm.restart_postgres if disturbed == "postgres" else storm.restart_temporal
            disturbing = asyncio.create_task(restart())
        await until(storm.all_ended, within=PATIENCE, every=0.5)
        disturbing.cancel()
        rows = await storm.messages()
        taken = Counter(body["custom_args"]["cauce_message_id"] for body in storm.sendgrid.accepted)
        print(told(rows, taken, storm, time.monotonic() - began))  # noqa: T201 (the figures are asked for)
        doubted, settled = await settled_by_events(storm)
    assert storm.kills[disturbed] >= 1
    assert Counter(row.step for row in rows) == dict.fromkeys(SERIES, MESSAGES // len(SERIES))
    assert {row.status for row in rows} <= {"sent", "unconfirmed"}
    assert max(taken.values()) == 1
    assert [row.id for row in rows if row.status == "sent" and not taken[row.id]] == []
    assert taken.keys() <= {row.id for row in rows}
    assert doubted == {row.id for row in rows if row.status == "unconfirmed"}
    assert settled == {row.id: "delivered" if taken[row.id] else "unconfirmed" for row in rows}


async def settled_by_events(storm: Storm) -> tuple[set[str], dict[str, str]]:
    """The doubts as the API lists them, and what all messages are once the provider has told of those that it has."""
    settings = Settings.model_validate({"database_url": storm.database_url, "secret_key": SECRET})
    async with calling(settings, await client_of_nobody(1)) as api:
        doubts = await listed_doubts(api)
        for body in storm.sendgrid.webhook_bodies("processed", "delivered"):
            answer = await api.http.post(
                "/v1/webhooks/sendgrid", content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 202, answer.text
    return doubts, {row.id: row.status for row in await storm.messages()}


async def listed_doubts(api: Caller) -> set[str]:
    found: set[str] = set()
    cursor: dict[str, str] = {}
    while True:
        page = (await api.get("/v1/messages", status="unconfirmed", limit=100, **cursor)).json()
        found |= {item["id"] for item in page["items"]}
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def told(rows: list[MessageRow], taken: Counter[str], storm: Storm, seconds: float) -> str:
    doubts = [row for row in rows if row.status == "unconfirmed"]
    return (
        f"\n{len(rows)} messages in {seconds:.0f} s, killed: {dict(storm.kills)}, "
        f"the provider: {dict(storm.sendgrid.weather)}"
        f"\nsent {len(rows) - len(doubts)}, lost {sum(row.status == 'sent' and not taken[row.id] for row in rows)}, "
        f"duplicated {sum(count > 1 for count in taken.values())}, unconfirmed {len(doubts)}, "
        f"of which the provider has {sum(taken[row.id] for row in doubts)}"
    )
