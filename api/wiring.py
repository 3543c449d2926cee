"""What the routes work with, made once for each app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from temporalio.client import Client

from api.keys import Keys
from api.metrics import Metrics
from emails.words import Words
from integrations.outbox.reader import Outbox
from runtime.databases import open_database
from runtime.dispatch import Dispatcher
from runtime.links import Links
from runtime.settings import Settings
from store.database import Database
from workflows.discovery import FlowClass


@dataclass(frozen=True)
class Services:
    settings: Settings
    keys: Keys
    database: Database
    client: Client
    dispatcher: Dispatcher
    flows: Mapping[str, FlowClass]
    links: Links
    outbox: Outbox
    metrics: Metrics
    words: Words


def make_services(settings: Settings, client: Client, flows: Mapping[str, FlowClass]) -> Services:
    """Raises: DatabaseNotReady if the database's URL is none."""
    database = open_database(settings)
    return Services(
        settings=settings,
        keys=Keys(key.get_secret_value() for key in settings.api_keys),
        database=database,
        client=client,
        dispatcher=Dispatcher(database, client, {name: flow.about for name, flow in flows.items()}),
        flows=flows,
        links=Links(str(settings.public_url), settings.secret_keys()),
        outbox=Outbox(settings.outbox_folder),
        metrics=Metrics(),
        words=Words.load(),
    )


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Wired = Annotated[Services, Depends(_services)]
