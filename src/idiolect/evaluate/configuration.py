"""The configuration of an evaluation, from a TOML file and options: one value, checked before the start.

    file, options → EvaluationConfig → task options, evaluation options, settings of the methods

Options take precedence over the file. The configuration contains everything that affects the results, but not the
budget, the concurrency or the folder of the report.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from idiolect.application.plain_faults import in_words
from idiolect.errors import SettingsError
from idiolect.evaluate.methods.spec import MethodSpec, parse_spec, parse_specs
from idiolect.evaluate.plan import EvaluationOptions, parse_primary
from idiolect.evaluate.tasks.task import TaskOptions

_MOST = 10_000_000
_MOST_NEUTRAL = 1000
_OF_LATER_FOLDERS = ("controls", "group_by", "controls_by_kind")  # missing in older folders
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # what every random generator takes


class EvaluationConfig(BaseModel):
    """All settings of an evaluation, with the names used in a configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    data: Path | None = None
    methods: str = "vanilla,profile,few-shot,majority-own,fermi"
    primary: tuple[str, ...] = ()
    baseline: str = ""
    people: int | None = Field(None, ge=1, le=_MOST, strict=True)
    train: int = Field(20, ge=1, le=_MOST, strict=True)
    test: int | None = Field(30, ge=1, le=_MOST, strict=True)
    seed: Seed = 0
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    group: Literal["reported", "development"] = "reported"
    topics: tuple[str, ...] = ()
    split: str = "dev"
    history: Literal["opinions", "texts"] = "opinions"
    lamp_asks: Literal["published", "history"] = "published"
    group_by: str = ""
    mask_names: bool = False
    form: Literal["labelled", "verbatim"] | None = None
    controls: bool = True
    controls_by_kind: bool = False
    curve_opinions: tuple[int, ...] = ()
    curve_iterations: tuple[int, ...] = ()
    curve_prompt_tokens: tuple[int, ...] = ()
    curve_methods: str = ""
    model: str = "embedded"
    optimizer: str | None = None
    transfer: tuple[str, ...] = ()
    dtype: str | None = None
    preset: str | None = None
    chameleon_preset: str | None = None
    from_group: str | None = None
    answering: Literal["generate", "likelihood"] | None = None
    normalization: Literal["sum", "mean", "pmi"] | None = None
    output_rule: bool = True
    max_tokens: int | None = Field(None, ge=1, le=_MOST)
    similarity: str | None = None
    proposers: str | None = None
    iterations: int | None = Field(None, ge=1)
    pairs: int | None = Field(None, ge=2)
    pair_tokens: int | None = Field(None, ge=1, le=_MOST)
    calls_per_person: int | None = Field(None, ge=1)
    neutral: int = Field(0, ge=0, le=_MOST_NEUTRAL, strict=True)

    @field_validator("methods", "curve_methods", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """Convert a list of names, which reads better in a file, to a text with commas."""
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

    @field_validator("seeds", "curve_opinions", "curve_iterations", "curve_prompt_tokens", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        """Convert a single number, or a text with commas, to a tuple."""
        if isinstance(value, int) and not isinstance(value, bool):
            return (value,)
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    def task_options(self) -> TaskOptions:
        """Return the options that select people and questions."""
        return TaskOptions(
            self.data,
            people=self.people,
            train=self.train,
            test=self.test,
            seed=self.seed,
            group=self.group,
            topics=self.topics,
            split=self.split,
            history=self.history,
            group_by=self.group_by,
            asks=self.lamp_asks,
            mask_names=self.mask_names,
        )

    def evaluation_options(self) -> EvaluationOptions:
        """Return the options that select arms.

        Raises:
            SettingsError: there is no such method, or a comparison uses a method that is not listed.
        """
        methods = parse_specs(self.methods)
        sizes = tuple(size for size in self.curve_opinions if size < self.train)
        return EvaluationOptions(
            methods,
            baseline=self._baseline(methods),
            primary=parse_primary(self.primary),
            controls=self.controls,
            controls_by_kind=self.controls_by_kind,
            sizes=sizes,
            iterations=self.curve_iterations,
            prompt_tokens=self.curve_prompt_tokens,
            curves=parse_specs(self.curve_methods) if self.curve_methods else (),
            seeds=tuple(dict.fromkeys(self.seeds)),
            transfer=tuple(dict.fromkeys(self.transfer)),
            model=self.model,
        )

    def _baseline(self, methods: tuple[MethodSpec, ...]) -> MethodSpec:
        if self.baseline:
            return parse_spec(self.baseline)
        return next((spec for spec in methods if spec.name == "vanilla"), methods[0])


def read_config(path: Path | None, options: Mapping[str, Any], *, settings: Sequence[str] = ()) -> EvaluationConfig:
    """Read the configuration from a file, from options that are not None, and from NAME=VALUE settings in TOML.

    Raises:
        SettingsError: the file cannot be read, a name is unknown, or a value is invalid.
    """
    values = _file(path) if path is not None else {}
    values |= dict(map(_setting, settings))
    values |= {name: value for name, value in options.items() if value is not None}
    try:
        return EvaluationConfig(**values)
    except ValidationError as error:
        faults = (in_words(fault, EvaluationConfig.model_fields) for fault in error.errors(include_input=False))
        where = f"{path}: " if path is not None else ""
        raise SettingsError(f"{where}{'; '.join(faults)}") from None


def as_kept(config: EvaluationConfig, kept: Mapping[str, Any]) -> EvaluationConfig:
    """Return the configuration, with unset settings taken from an evaluation's folder.

    Raises:
        SettingsError: the folder's configuration is not that of an evaluation.
    """
    try:
        models = kept["models"]
        found = {
            **kept["split"],
            "output_rule": False,  # older folders were asked without
            **kept["settings"],
            **kept["curves"],
            "model": models["model"],
            "optimizer": None if models["optimizer"] == models["model"] else models["optimizer"],
            "transfer": models["transfer"],
            "dtype": None if models["dtype"] == "default" else models["dtype"],
            "seeds": kept["seeds"],
            "primary": kept["primary"],
            "baseline": kept["baseline"],
            "methods": ",".join(kept["methods"]),
            "people": kept["people"],
            **{name: kept[name] for name in _OF_LATER_FOLDERS if name in kept},
        }
        return EvaluationConfig(**found | config.model_dump(exclude_unset=True))
    except (KeyError, TypeError, ValidationError):
        raise SettingsError("config.json is not the configuration of an evaluation") from None


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name or not value:
        raise SettingsError(f"expected NAME=VALUE, such as pairs=8, found {text!r}")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        return name, value  # text without quotes, or nested so deeply that it is no setting's value


def _file(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():
        raise SettingsError(f"{path} is not a file")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # includes text that is not UTF-8
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
