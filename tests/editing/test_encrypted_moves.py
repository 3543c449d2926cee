"""Contacts move to other code with what they remember, whichever keys it was encrypted with, or none."""

from __future__ import annotations

from pathlib import Path

from temporalio.client import Client

from rehearsal.forecast import Fate
from runtime.encryption import data_converter
from runtime.encryption_keys import EncryptionKey
from tests.editing.fleet import FLOW, Fleet
from tests.editing.tour_after import TourAfter
from tests.editing.tour_before import TourBefore
from workflows.builds import build_id

FIRST = EncryptionKey("2026-11", b"\x01" * 32)
SECOND = EncryptionKey("2027-01", b"\x02" * 32)


async def restarted(fleet: Fleet, folder: Path, *keys: EncryptionKey) -> Fleet:
    """The same contacts, for processes that have these keys."""
    target = fleet.client.service_client.config.target_host
    again = Fleet(await Client.connect(target, data_converter=data_converter(keys)), fleet.database, folder)
    again.rows = fleet.rows
    return again


async def test_contacts_are_carried_over_the_first_key_and_the_next(fleet: Fleet, tmp_path: Path) -> None:
    plain = await fleet.enroll("clicked")
    fleet = await restarted(fleet, tmp_path, FIRST)
    encrypted = await fleet.enroll("pause-2")
    async with fleet.emailing(), fleet.working(TourBefore):
        await fleet.at_rest()

    keyless = await restarted(fleet, tmp_path, SECOND)
    forecasts = (await keyless.deployer(TourAfter).look(FLOW)).forecasts
    assert [forecast.fate for forecast in forecasts] == [Fate.CANNOT] * 2
    for lost in forecasts:
        assert "key 2026-11, which CAUCE_ENCRYPTION_KEYS does not have" in (lost.reason or "")

    fleet = await restarted(fleet, tmp_path, SECOND, FIRST)
    async with fleet.emailing(), fleet.working(TourAfter):
        deployer = fleet.deployer(TourAfter)
        situation = await deployer.look(FLOW)
        assert {forecast.run.enrollment_id: forecast.step for forecast in situation.forecasts} == {
            plain.id: "clicked",
            encrypted.id: "pause-2",
        }
        rolled = await deployer.carry_out(situation, gone=[build_id(TourBefore)])
        assert rolled is not None
        assert not rolled.left
        await fleet.come_to({plain.id: "clicked", encrypted.id: "pause-2"})
        again = (await deployer.look(FLOW)).forecasts
        assert [forecast.fate for forecast in again] == [Fate.STAYS] * 2, "their histories replay"
        history = await fleet.client.get_workflow_handle(f"{FLOW}:{plain.contact_id}").fetch_history()
        (order,) = history.events[0].workflow_execution_started_event_attributes.input.payloads
        assert order.metadata["encryption-key-id"] == SECOND.id.encode()
        await fleet.all_buy()
    assert await fleet.exits() == {"goal": 2}
