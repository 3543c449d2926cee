"""Flows whose rules the shipped ones do not have. No worker runs them."""

from __future__ import annotations

from datetime import timedelta

from domain.flows import FlowSettings, FlowType, Goal, OnEdit
from workflows.discovery import FlowClass
from workflows.flow import Flow


class PlainSettings(FlowSettings):
    """None."""


class Told(Flow[PlainSettings]):
    async def journey(self) -> None:
        """Nothing happens: no worker runs these."""


class Once(Told):
    about = FlowType(
        title="Once in a lifetime",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=1)),
        owner="sales",
        on_edit=OnEdit.FOLLOW,
        reenroll_after=None,
    )


class Yearly(Told):
    about = FlowType(
        title="Once a year",
        goal=Goal(event="renewed", target=0.1, within=timedelta(days=1)),
        owner="sales",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"visited"}),
        reenroll_after=timedelta(days=365),
    )


FLOWS: dict[str, FlowClass] = {"once": Once, "yearly": Yearly}
