"""The app that serves HTTP: the API for programs, and a few pages for people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI
from fastapi_offline import FastAPIOffline
from temporalio.client import Client

from api.console import answer, confirm, outbox, preferences, start
from api.limits import BodyLimit
from api.observing import Observing
from api.openapi import describe
from api.problems import answer_with_problems, answers
from api.routers import (
    approvals,
    broadcasts,
    bulk_enrollments,
    codec,
    contacts,
    enrolling,
    enrollments,
    erasures,
    events,
    exports,
    health,
    imports,
    lead_rules,
    leads,
    messages,
    people,
    reports,
    schedules,
    segments,
    suppressions,
    tasks,
    timeline,
    triggers,
    webhooks,
)
from api.routers import flows as flows_router
from api.security import require_key, require_key_or_password, require_loopback_without_keys
from api.web_ui import WebUiCors
from api.wiring import make_services
from runtime.settings import Settings
from workflows.discovery import FlowClass, discover_flows

DESCRIPTION = """\
Durable marketing flows: enroll contacts, and report what happens to them.

- Errors are problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), `application/problem+json`.
- An operation that describes no body reads none.
- Listings are newest first and come in pages: ask with `cursor` for the next one.
- Enrollments and events are accepted while Temporal is down: they are stored first, and told to it later.
- People answer approvals, tasks and leads: the header `Cauce-Person` says who. Whether an answer counts is decided by
  the flow that asks; if it cannot be told the answer is 503, and the same `Idempotency-Key` may be sent again.
"""

_LARGER_BODIES = {
    "/v1/webhooks/sendgrid": webhooks.MAX_BODY_BYTES,
    "/v1/contacts/import": imports.MAX_FILE_BYTES,
}


def create_app(settings: Settings, client: Client, flows: Mapping[str, FlowClass] | None = None) -> FastAPI:
    """Put the app together. `client` may be one that connects lazily; `flows` are those of the code by default.

    Raises: DatabaseNotReady if the database's URL is none. Whether it is migrated shows at /readyz.
    """
    known_flows = discover_flows() if flows is None else flows
    app = routed(known_flows)
    app.state.services = make_services(settings, client, known_flows)
    return app


def routed(flows: Mapping[str, FlowClass]) -> FastAPI:
    """The app for these flows. It serves once its `state.services` are given, and closes them in the end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.services.database.close()

    # FastAPI whose documentation page loads nothing from elsewhere.
    app = FastAPIOffline(
        title="Cauce",
        version=version("cauce"),
        summary="Durable marketing flows on Temporal",
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(require_loopback_without_keys)],
        responses=answers(403, 413, 500, 503),
    )
    app.add_middleware(BodyLimit, larger=_LARGER_BODIES)
    app.add_middleware(Observing)
    app.add_middleware(WebUiCors)
    answer_with_problems(app)

    for_programs = APIRouter(dependencies=[Depends(require_key)], responses=answers(401))
    for module in (
        imports,  # before a contact of any id
        contacts,
        exports,
        erasures,
        timeline,
        flows_router,
        reports,
        triggers,
        enrolling,
        enrollments,
        bulk_enrollments,
        schedules,
        broadcasts,
        events,
        messages,
        suppressions,
        segments,
        people,
        approvals,
        tasks,
        leads,
        lead_rules,
    ):
        for_programs.include_router(module.router)
    app.include_router(for_programs)
    app.include_router(webhooks.router)
    app.include_router(health.router)
    for_people = APIRouter(dependencies=[Depends(require_key_or_password)])
    for_people.include_router(outbox.router)
    app.include_router(for_people, include_in_schema=False)
    app.include_router(codec.router, include_in_schema=False)
    app.include_router(start.router, include_in_schema=False)
    app.include_router(preferences.router, include_in_schema=False)
    app.include_router(confirm.router, include_in_schema=False)
    app.include_router(answer.router, include_in_schema=False)

    describe(app, flows)
    return app
