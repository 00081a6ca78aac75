"""Faults of a configuration, in the words of the person who wrote it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from idiolect.application.plain_faults import in_words


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    port: int = 1


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    port: int = 1
    least: Annotated[int, Field(gt=0, le=9)] = 1
    at_least: Annotated[float, Field(ge=2, lt=8)] = 2
    on: bool = True
    mode: Literal["aloud", "silent"] = "aloud"
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    name: str = ""
    inner: Inner = Inner()
    even: int = 0

    @field_validator("even")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


class Required(BaseModel):
    model_config = ConfigDict(extra="forbid")

    task: str


def fault(kind: type[BaseModel], values: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        kind(**values)
    (only,) = caught.value.errors(include_input=False)
    return in_words(only, kind.model_fields)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prot": 1}, "prot: there is no such setting; did you mean port?"),
        ({"zzz": 1}, "zzz: there is no such setting"),
        ({"inner": {"prot": 1}}, "inner.prot: there is no such setting"),
        ({"port": "secret"}, "port: must be a whole number"),
        ({"port": 1.5}, "port: must be a whole number"),
        ({"port": None}, "port: must be a whole number"),
        ({"least": 0}, "least: must be greater than 0"),
        ({"least": 10}, "least: must be at most 9"),
        ({"at_least": 1}, "at_least: must be at least 2.0"),
        ({"at_least": 8}, "at_least: must be less than 8.0"),
        ({"at_least": "secret"}, "at_least: must be a number"),
        ({"on": "secret"}, "on: must be true or false"),
        ({"mode": "secret"}, "mode: must be 'aloud' or 'silent'"),
        ({"seeds": ()}, "seeds: has too few values"),
        ({"seeds": 4}, "seeds: must be a list"),
        ({"seeds": (1, "secret")}, "seeds.1: must be a whole number"),
        ({"name": 4}, "name: must be text"),
        ({"even": 3}, "even: must be even"),
        ({"inner": 3}, "inner: must be an object with settings"),
    ],
)
def test_every_fault_is_in_plain_words_and_repeats_no_value(values: dict[str, Any], words: str) -> None:
    assert fault(Settings, values) == words


def test_what_is_missing_is_named() -> None:
    assert fault(Required, {}) == "task: is missing"
