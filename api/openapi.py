"""What the OpenAPI description says beyond what FastAPI finds out by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, JsonValue

from api.problems import Problem
from workflows.discovery import FlowClass

_SCHEMAS = "#/components/schemas/"


def describe(app: FastAPI, flows: Mapping[str, FlowClass]) -> None:
    """Have the app's description name the problem document, the flows and the settings of each."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                tags=app.openapi_tags,
                routes=app.routes,
            )
            _add_models(app.openapi_schema, flows)
            _name_flows(app.openapi_schema, flows)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def exactly_one(first: str, second: str) -> list[JsonValue]:
    """JSON Schema, for `oneOf`, of an object in which one of two optional members is given."""
    given: dict[str, JsonValue] = {"not": {"type": "null"}}
    return [
        {"required": [one], "properties": {one: given, other: {"type": "null"}}}
        for one, other in ((first, second), (second, first))
    ]


def _add_models(description: dict[str, Any], flows: Mapping[str, FlowClass]) -> None:
    schemas = description["components"]["schemas"]
    models: list[type[BaseModel]] = [Problem, *(flow.settings_model for flow in flows.values())]
    for model in models:
        schema = model.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    settings = [{"$ref": f"{_SCHEMAS}{flow.settings_model.__name__}"} for flow in flows.values()]
    for request in ("EnrollmentRequest", "BulkEnrollmentRequest"):
        schemas[request]["properties"]["settings"]["anyOf"] = settings


def _name_flows(description: dict[str, Any], flows: Mapping[str, FlowClass]) -> None:
    for path, operations in description["paths"].items():
        if "{flow}" in path:
            for operation in operations.values():
                for parameter in operation["parameters"]:
                    if parameter["name"] == "flow":
                        parameter["schema"]["enum"] = list(flows)
