"""The server's own OpenAPI document: it describes every route, and requests made up from it meet no failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from idiolect.application.model_pool import ModelPool, OpenModel, own_model
from idiolect.models.doubles import FunctionModel
from idiolect.serve.openapi import openapi_document
from idiolect.serve.routes.table import ROUTES
from idiolect.serve.settings import GatewaySettings
from tests.api_server import ApiServer, Body, chat_payload
from tests.serve.serving import Served, forwarding

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
OPERATIONS = [(route.method, re.sub(r"\{(\w+):[^}]+\}", r"{\1}", route.path)) for route in ROUTES]
FEW = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def _answer(body: Body, _number: int) -> Body:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {**chat_payload("Yes", body), "created": 1, "model": "m", "usage": usage}


@pytest.fixture(scope="module")
def forwarded(learned_once: Path) -> Iterator[Served]:
    settings = {"anonymous_people": True, "workers": 0}
    with ApiServer(_answer) as upstream, Served(forwarding(upstream.url, learned_once, **settings)) as served:
        yield served


@pytest.fixture(scope="module")
def local(learned_once: Path) -> Iterator[Served]:
    double = own_model(FunctionModel("mimic", complete=lambda _request: "Tea.", choice_logprobs=lambda _request: []))

    async def model(_pool: ModelPool, _name: str) -> OpenModel:
        return double

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelPool, "model", model)
        with Served(GatewaySettings(model="mimic", store=str(learned_once), port=0)) as served:
            yield served


def test_every_route_is_described() -> None:
    document = openapi_document()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == set(OPERATIONS)
    assert document["components"]["schemas"]["ChatRequest"]["properties"]["messages"]["minItems"] == 1


def test_the_document_is_served(forwarded: Served) -> None:
    assert forwarded.ask("/openapi.json").json == openapi_document()


def _fuzz(served: Served, method: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(openapi_document())
    operation: Any = schema[path][method]

    @FEW
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        case.call_and_validate(base_url=served.root, checks=CHECKS)

    @FEW
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    def send_nonsense(case: Any) -> None:
        case.call_and_validate(base_url=served.root, checks=[not_a_server_error])

    send()
    if method in ("POST", "PUT", "PATCH"):
        send_nonsense()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_made_up_requests_meet_no_failure_in_front_of_an_upstream(forwarded: Served, method: str, path: str) -> None:
    _fuzz(forwarded, method, path)


def test_made_up_conversations_meet_no_failure_of_a_local_model(local: Served) -> None:
    _fuzz(local, "POST", "/v1/chat/completions")
