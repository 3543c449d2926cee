"""Workers killed while a broadcast goes out: nobody gets it twice, nobody is left out, doubts are listed."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from activities.broadcast_orders import IN_FLIGHT
from domain.broadcasts import BroadcastStatus
from runtime.settings import Settings
from store.list_tables import BroadcastRow
from tests.activities.broadcasting import asked_for, contacts
from tests.api.caller import calling, client_of_nobody
from tests.chaos.storm import SECRET, WORKERS, Storm
from tests.chaos.test_storm import listed_doubts
from tests.integrations.fake_sendgrid import FakeSendGrid
from tests.integrations.scripted_server import Answer, Request
from tests.waiting import until

RECIPIENTS = int(os.environ.get("CAUCE_TEST_BROADCAST", "600"))
BATCH = 50
"""As `tests.chaos.broadcast_nursery` has it, whose import would change this process too."""
KILLS = (WORKERS, 1, 1)
pytestmark = pytest.mark.timeout(300 + RECIPIENTS // 10)


class SlowSendGrid(FakeSendGrid):
    """Takes a while to accept, and to answer: who is killed meanwhile does not learn whether it did."""

    def answer(self, request: Request) -> Answer:
        time.sleep(0.1)
        answer = super().answer(request)
        time.sleep(0.1)
        return answer


class BroadcastStorm(Storm):
    nursery = "tests.chaos.broadcast_nursery"

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.sendgrid = SlowSendGrid()  # type: ignore[assignment]

    async def kill(self, count: int) -> None:
        """At once; others take their places."""
        victims = [self._workers.pop(self._chance.randrange(len(self._workers))) for _ in range(count)]
        for victim in victims:
            victim.kill()
        self.kills["worker"] += count
        for _ in victims:
            await self._bear()


async def test_nobody_gets_a_broadcast_twice_nobody_is_left_out_and_every_doubt_is_listed(tmp_path: Path) -> None:
    async with BroadcastStorm(tmp_path, seed=7).raging() as storm:
        row = await asked_for(storm.database, await contacts(storm.database, RECIPIENTS))

        async def status() -> str:
            async with storm.database.read() as session:
                return (await session.get_one(BroadcastRow, row.id)).status

        async def ended() -> bool:
            return await status() == BroadcastStatus.FINISHED

        # All of them first, while one waits for an answer; then one at a time, whatever it does.
        for number, count in enumerate(KILLS):
            so_far = RECIPIENTS * number // (len(KILLS) + 2)
            await until(lambda least=so_far: len(storm.sendgrid.delivered()) > least, within=60)
            await storm.kill(count)
        await until(ended, within=60 + RECIPIENTS / 10, every=0.1)
        rows = await storm.messages()
        taken = Counter(letter.message_id for letter in storm.sendgrid.delivered())
        settings = Settings.model_validate({"database_url": storm.database_url, "secret_key": SECRET})
        async with calling(settings, await client_of_nobody(1)) as api:
            doubts = await listed_doubts(api)
            counted = (await api.get(f"/v1/broadcasts/{row.id}")).json()["by_status"]
    sent, doubted = ({each.id for each in rows if each.status == kept} for kept in ("sent", "unconfirmed"))
    assert storm.kills["worker"] == sum(KILLS)
    assert len({each.contact_id for each in rows}) == len(rows) == RECIPIENTS
    assert max(taken.values()) == 1
    assert sent <= taken.keys() <= sent | doubted
    assert sent | doubted == {each.id for each in rows}
    assert doubts == doubted
    assert counted == {name: len(ids) for name, ids in (("sent", sent), ("unconfirmed", doubted)) if ids}
    # A kill puts no more into doubt than was on its way.
    assert 0 < len(doubted) <= len(KILLS) * IN_FLIGHT * BATCH
