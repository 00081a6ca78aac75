"""The operations of an OpenAPI document, each with a body that is valid by its schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.serve.hostility.world import Operation

_WORDS: Mapping[str, Any] = {
    "model": "m",
    "role": "user",
    "content": "Would you drink tea at noon?",
    "choices": ["never", "always"],
    "choice": "always",
    "answer": "always",
    "question": "Would you drink tea at noon?",
    "rating": "up",
    "similarity": "bm25",
    "method": "fermi",
    "preset": "api",
    "answering": "generate",
    "iterations": 1,
}


def operations_of(document: Mapping[str, Any]) -> list[Operation]:
    """Every method of every path."""
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            body = None if schema is None else _value(schema, document, "")
            found.append(Operation(method.upper(), path, body))
    return found


def _value(schema: Mapping[str, Any], document: Mapping[str, Any], name: str) -> Any:
    """A value of a schema; a name says what would make sense."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if options := schema.get("anyOf"):
        return _value(options[0], document, name)
    if "properties" in schema:
        inner = schema["properties"].items()
        return {key: _WORDS[key] if key in _WORDS else _value(each, document, key) for key, each in inner}
    kind = schema.get("type")
    if kind == "array":
        return [_value(schema.get("items", {}), document, name)]
    plain: Mapping[Any, Any] = {"integer": 1, "number": 1.0, "boolean": False, "object": {"Age": "30-44"}, "null": None}
    return plain.get(kind, schema.get("const", "text"))
