"""The server's own OpenAPI document, made from its table of routes and from the types of `wire`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from idiolect.serve.event_streams import CONTENT_TYPE
from idiolect.serve.exchange import ADDED, PERSONALIZATION, REQUEST_ID, WHY
from idiolect.serve.routes.table import ROUTES, Route
from idiolect.serve.wire import ErrorDocument
from idiolect.version import __version__

_SCHEMAS = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"\{(\w+)(?::[^}]+)?\}")
_HEADERS: Mapping[str, str] = {
    REQUEST_ID: "Id of the request, which logs name too.",
    PERSONALIZATION: "What answers: base, or the digest of a prompt or an edit behind its method.",
    WHY: "Why it is used, or is not, in one line.",
    ADDED: "Milliseconds until the model was asked.",
}


@lru_cache(maxsize=1)
def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of the usual routes."""
    return document_of(ROUTES)


def document_of(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of some routes."""
    types = {kind for route in routes for kind in (route.answer, route.body) if kind is not None} | {ErrorDocument}
    inputs = {route.body for route in routes if route.body is not None}
    named = sorted(types, key=lambda kind: kind.__name__)
    modes: list[tuple[type[BaseModel], Any]] = [
        (kind, "validation" if kind in inputs else "serialization") for kind in named
    ]
    _, schemas = models_json_schema(modes, ref_template=_SCHEMAS)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Idiolect",
            "version": __version__,
            "description": "An OpenAI-compatible server in which each user gets their own model.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "headers": {name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    summary, _, details = (route.handler.__doc__ or "").partition("\n")
    found: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": summary.rstrip("."),
        "responses": {str(route.status): _success(route), "default": _described("An error.", ErrorDocument)},
        "security": [{}] if route.open else [{"key": []}, {}],
    }
    if details.strip():
        found["description"] = details.strip()
    if route.body is not None:
        found["requestBody"] = {"required": True, "content": _json(route.body)}
    if names := _PARAMETER.findall(route.path):
        found["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in names
        ]
    return found


def _success(route: Route) -> dict[str, Any]:
    found = _described("The answer.", route.answer)
    if route.streams:
        found["content"][CONTENT_TYPE] = {"schema": {"type": "string"}}
    return found


def _described(description: str, kind: type[BaseModel] | None) -> dict[str, Any]:
    content = {"*/*": {}} if kind is None else _json(kind)
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
    return {"description": description, "headers": headers, "content": content}


def _json(kind: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _SCHEMAS.format(model=kind.__name__)}}}
