"""Every error that the API answers with, as a problem document (RFC 9457), made in this one place.

A problem names the field at fault and never repeats a value that was sent: it may be an address or a secret.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from store.erasures import BeingErased

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_DETAILS = {
    400: "the request is not well-formed: a body has to be JSON in UTF-8, without very deep nesting or huge numbers",
    404: "there is nothing at this address: the paths are listed at /docs",
    405: "this address does not take this method: the Allow header names those that it takes",
}
_WORDS = {
    "extra_forbidden": "is not known here: mind its spelling, or leave it out",
    "missing": "is needed",
    "timezone_aware": "needs a time zone, as 2026-11-23T09:30:00Z has",
    "uuid_parsing": "is not a UUID",
    "string_unicode": "holds half of a surrogate pair, which is no text",
}
"""In place of pydantic's own, where a person could not tell from those what to do."""
_ENUM_MEMBER = re.compile(r"<\w+\.\w+: ('[^']*')>")
"""How pydantic writes a choice of an enumeration."""
_TELLING_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class FieldError(BaseModel):
    field: str = Field(description="where in the request: body, query, path or header, then the name")
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:cauce:problem:invalid-request",
                "title": "The request is not valid",
                "status": 422,
                "detail": "body.time_zone: not a time zone of the IANA database",
                "errors": [{"field": "body.time_zone", "message": "not a time zone of the IANA database"}],
            }
        }
    )

    type: str = Field(description="`urn:cauce:problem:…`: stable, for programs to tell problems apart")
    title: str
    status: int
    detail: str
    errors: list[FieldError] = Field(default_factory=list, description="each field at fault")
    enrollment: str | None = Field(default=None, description="address of the enrollment that stands in the way")
    enrollment_id: str | None = Field(default=None, description="id of the enrollment that stands in the way")
    until: datetime | None = Field(default=None, description="when the same request may succeed; null: never")


class ProblemError(Exception):
    """Raised anywhere below a route, answered as a problem document. `members` are further members of it."""

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(slug)
        self.status = status
        self.headers = headers
        self.document = {
            "type": f"urn:cauce:problem:{slug}",
            "title": title,
            "status": status,
            "detail": detail,
            **members,
        }

    def response(self) -> JSONResponse:
        return JSONResponse(self.document, self.status, self.headers, MEDIA_TYPE)


def not_found(what: str) -> ProblemError:
    """`what` was asked for and is not there; say no value that may be personal."""
    return ProblemError(404, "not-found", "Not found", f"there is no {what}")


def key_reused() -> ProblemError:
    return ProblemError(
        422,
        "idempotency-key-reused",
        "The idempotency key came before with another request",
        "header.Idempotency-Key: make a key for each new request",
        errors=[{"field": "header.Idempotency-Key", "message": "came before with another request"}],
    )


def being_erased(erasure_id: str) -> ProblemError:
    return ProblemError(
        409,
        "being-erased",
        "The contact is being erased",
        f"nothing is added to them any more: /v1/erasures/{erasure_id} says how far it is",
        headers={"Location": f"/v1/erasures/{erasure_id}"},
    )


def unexpected() -> ProblemError:
    return ProblemError(
        500,
        "unexpected",
        "Something went wrong here",
        "the fault is ours: nothing is known of it but what our log says",
    )


def of_status(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> ProblemError:
    """The problem that a status alone stands for. Where we have better words than `detail`, they are taken."""
    phrase = HTTPStatus(status).phrase
    slug = phrase.lower().replace(" ", "-")
    return ProblemError(status, slug, phrase, _DETAILS.get(status, detail or phrase), headers=headers)


def invalid_request(errors: Sequence[Mapping[str, Any]]) -> ProblemError:
    """Turn pydantic's errors, whose `loc` begins with body, query, path or header, into a problem."""
    fields = [FieldError(field=_field(error["loc"]), message=_message(error)) for error in _causes(errors)]
    detail = "; ".join(f"{error.field}: {error.message}" for error in fields[:5])
    return ProblemError(
        422,
        "invalid-request",
        "The request is not valid",
        detail if len(fields) <= 5 else f"{detail}; and {len(fields) - 5} more",
        errors=[error.model_dump() for error in fields],
    )


def answer_with_problems(app: FastAPI) -> None:
    """Have every error of this app answered as a problem document."""

    @app.exception_handler(ProblemError)
    async def _problem(_request: Request, error: ProblemError) -> JSONResponse:
        return error.response()

    @app.exception_handler(BeingErased)
    async def _being_erased(_request: Request, error: BeingErased) -> JSONResponse:
        return being_erased(error.erasure_id).response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        errors = error.errors()
        if any(fault["type"] == "json_invalid" for fault in errors):
            return of_status(400).response()
        return invalid_request(errors).response()

    @app.exception_handler(HTTPException)
    async def _refused(request: Request, error: HTTPException) -> JSONResponse:
        headers = error.headers
        if error.status_code == 405:
            headers = {"Allow": _methods_at(request) or (headers or {}).get("Allow", "")}
        return of_status(error.status_code, error.detail, headers).response()

    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    @app.exception_handler(PoolTimeoutError)
    async def _no_database(_request: Request, error: Exception) -> JSONResponse:
        # The error's text holds the statement's values: only its kind is logged.
        logger.error("the database did not answer", extra={"error": type(error).__name__})
        return ProblemError(
            503,
            "database-unavailable",
            "The database does not answer",
            "nothing was changed: try again later",
            headers={"Retry-After": "5"},
        ).response()


def answers(*problems: int | ProblemError) -> dict[int | str, dict[str, Any]]:
    """The problems that an operation may answer with, as its OpenAPI description says it: a status, or an example."""
    schema = {"$ref": "#/components/schemas/Problem"}
    examples = [_EXAMPLES.get(each, of_status(each)) if isinstance(each, int) else each for each in problems]
    return {
        example.status: {
            "description": HTTPStatus(example.status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema, "example": example.document}},
        }
        for example in examples
    }


def _methods_at(request: Request) -> str:
    """Starlette names the methods of the first route at a path; here all of them are."""
    operations = request.app.openapi()["paths"].get(getattr(request.scope.get("route"), "path", None), {})
    return ", ".join(method.upper() for method in operations)


def _causes(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The errors without what only follows from others: pydantic calls a tuple too short for its bad elements."""
    at_fault = {tuple(error["loc"][:depth]) for error in errors for depth in range(len(error["loc"]))}
    return [error for error in errors if error.get("type") != "too_short" or tuple(error["loc"]) not in at_fault]


def _field(location: Sequence[str | int]) -> str:
    # A name that does not look like one may be an address that got into the wrong place: it is not repeated.
    return ".".join(
        str(part) if isinstance(part, int) or _TELLING_NAME.fullmatch(part) else "…"
        for part in location
        if part != "[key]"
    )


def _message(error: Mapping[str, Any]) -> str:
    return _WORDS.get(error.get("type", "")) or _ENUM_MEMBER.sub(r"\1", str(error["msg"]).removeprefix("Value error, "))


A_BEING_ERASED = being_erased("0193f0c2-9a10-7b42-9b1f-0c6b1f6a2e11")
_EXAMPLES = {
    404: not_found("contact with this id"),
    409: ProblemError(
        409,
        "already-active",
        "The contact is in this flow now",
        "the active enrollment is /v1/enrollments/0193f0c2-8d4b-7a10-8f7e-6f0a1c2b3d4e: cancel it first, or let it end",
        enrollment="/v1/enrollments/0193f0c2-8d4b-7a10-8f7e-6f0a1c2b3d4e",
        enrollment_id="0193f0c2-8d4b-7a10-8f7e-6f0a1c2b3d4e",
    ),
    422: invalid_request([{"loc": ("body", "contact", "time_zone"), "msg": "not a time zone of the IANA database"}]),
    500: unexpected(),
}
"""By status, for the description; others are told apart by their status alone."""
