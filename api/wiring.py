"""What the routes work with, made once for each app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated

from fastapi import Depends, Request
from temporalio.client import Client

from api.keys import Keys
from api.metrics import Metrics
from domain.broadcasts import FLOW as BROADCAST
from domain.consent import CONFIRMATION_FLOW
from emails.templates import Templates
from emails.topics import Topics
from emails.words import Words
from integrations.outbox.reader import Outbox
from integrations.sendgrid.webhook_key import WebhookKey
from runtime.databases import open_database
from runtime.dispatch import Dispatcher
from runtime.links import Links
from runtime.settings import Settings, SettingsError
from store.database import Database
from workflows.discovery import FlowClass


@dataclass(frozen=True)
class Services:
    settings: Settings
    keys: Keys
    sendgrid_key: WebhookKey | None
    database: Database
    client: Client
    dispatcher: Dispatcher
    flows: Mapping[str, FlowClass]
    links: Links
    outbox: Outbox
    metrics: Metrics
    words: Words
    topics: Topics
    broadcast_templates: Templates


def make_services(settings: Settings, client: Client, flows: Mapping[str, FlowClass]) -> Services:
    """Raises: DatabaseNotReady if the database's URL is none; TopicsError; SettingsError if nobody could confirm."""
    if settings.double_opt_in and CONFIRMATION_FLOW not in flows:
        raise SettingsError(f"CAUCE_DOUBLE_OPT_IN: needs the flow {CONFIRMATION_FLOW}, which this code has not")
    database = open_database(settings)
    return Services(
        settings=settings,
        keys=Keys(key.get_secret_value() for key in settings.api_keys),
        sendgrid_key=WebhookKey(settings.sendgrid_webhook_key) if settings.sendgrid_webhook_key else None,
        database=database,
        client=client,
        dispatcher=Dispatcher(database, client, {name: flow.about for name, flow in flows.items()}),
        flows=flows,
        links=Links(str(settings.public_url), settings.secret_keys()),
        outbox=Outbox(settings.outbox_folder),
        metrics=Metrics(),
        words=Words.load(),
        topics=Topics.load(),
        broadcast_templates=_broadcast_templates(),
    )


@cache
def _broadcast_templates() -> Templates:
    """Read once: what a deploy changes of them is another process's."""
    return Templates.load(only=BROADCAST)


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Wired = Annotated[Services, Depends(_services)]
