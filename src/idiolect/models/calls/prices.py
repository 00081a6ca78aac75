"""Costs of calls, and prices of models per token. A user's own file takes precedence over the packaged `prices.toml`.

A budget in money needs a price for every model that is called. Embedded and local models are not in these tables.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from pathlib import Path
from typing import Any

from platformdirs import user_config_dir

from idiolect.errors import SettingsError
from idiolect.paths import expanded

_MILLION = Decimal(1_000_000)
_OPENAI = re.compile(r"(?:openai:|https://api\.openai\.com/v1/?#)(.+)")


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of calls. `money` is in the currency of the prices (US dollars); None if a price is unknown.

    Raises:
        ValueError: a count is negative, or money is negative or not finite.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: Decimal | None = Decimal(0)

    def __post_init__(self) -> None:
        if self.calls < 0 or self.prompt_tokens < 0 or self.completion_tokens < 0:
            raise ValueError(f"{self} has a negative count")
        if self.money is not None and not (self.money.is_finite() and self.money >= 0):
            raise ValueError(f"money is {self.money}, must be finite and not negative")

    @property
    def tokens(self) -> int:
        """Number of prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            None if self.money is None or other.money is None else self.money + other.money,
        )


@dataclass(frozen=True, slots=True)
class Price:
    """A price in US dollars per million tokens of prompt and of completion; not negative.

    Raises:
        ValueError: a price is negative or not finite.
    """

    prompt: Decimal
    completion: Decimal

    def __post_init__(self) -> None:
        for name, amount in (("prompt", self.prompt), ("completion", self.completion)):
            if not (amount.is_finite() and amount >= 0):
                raise ValueError(f"the price of the {name} is {amount}, must be finite and not negative")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """Return the cost of these tokens in US dollars."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / _MILLION


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by the name or name pattern of a model.

    Args:
        layers: tables in order of precedence; a key may contain `*`, which stands for any text.
        as_of: the date of the first table that has one.
    """

    layers: tuple[Mapping[str, Price], ...]
    as_of: date | None = None

    @classmethod
    def load(cls, path: Path | None = None) -> PriceTable:
        """Load the prices of the user's file, if there is one, and the packaged prices, in this order of precedence.

        Args:
            path: the user's file; None means `$IDIOLECT_PRICES` or, if that is not set, `prices.toml` in the user's
                configuration folder, if it exists.

        Raises:
            SettingsError: the user's file can't be read or has faults; the message lists each fault.
        """
        source = files("idiolect.models.calls").joinpath("prices.toml").read_text(encoding="utf-8")
        packaged, as_of = _parsed(source, "prices.toml")
        path = path or _users_file()
        if path is None:
            return cls((packaged,), as_of)
        own, own_date = _parsed(_read(path), str(path))
        return cls((own, packaged), own_date or as_of)

    def price(self, model: str) -> Price | None:
        """Return a model's price; None if no table has it.

        The user's table takes precedence over the packaged one. In each, the whole name is looked up first, then, only
        for `openai:NAME` and `https://api.openai.com/v1#NAME`, the NAME, because other servers may charge differently
        for it. An exact name takes precedence over patterns, and a longer pattern over shorter ones.
        """
        openai = _OPENAI.fullmatch(model)
        names = (model, openai[1]) if openai else (model,)
        found = (_look_up(layer, name) for layer in self.layers for name in names)
        return next((price for price in found if price is not None), None)


def _look_up(layer: Mapping[str, Price], name: str) -> Price | None:
    if name in layer:
        return layer[name]
    patterns = [key for key in layer if "*" in key and _matches(key, name)]
    return layer[max(patterns, key=len)] if patterns else None


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None


def _users_file() -> Path | None:
    named = os.environ.get("IDIOLECT_PRICES")
    if named:
        return expanded(named, SettingsError, of="IDIOLECT_PRICES")
    usual = Path(user_config_dir("idiolect")) / "prices.toml"
    return usual if usual.exists() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}") from None


def _parsed(source: str, place: str) -> tuple[dict[str, Price], date | None]:
    """Parse a table of prices and its date; raise SettingsError with all faults, one per line."""
    try:
        content = tomllib.loads(source, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{place}: is not TOML: {error}") from None
    faults = [f"{key}: is unknown; expected 'as_of' or 'models'" for key in content.keys() - {"as_of", "models"}]
    as_of = content.get("as_of")
    if as_of is not None and type(as_of) is not date:
        faults.append("as_of: must be a date, for example 2025-08-31")
    models = content.get("models", {})
    if not isinstance(models, dict):
        faults.append("models: must be a table")
        models = {}
    prices = {model: price for model, entry in models.items() if (price := _price(model, entry, faults))}
    if faults:
        raise SettingsError("\n".join(f"{place}: {fault}" for fault in faults))
    return prices, as_of


def _price(model: str, entry: Any, faults: list[str]) -> Price | None:
    """Return the price of an entry, or None after adding its faults to `faults`."""
    key = f'models."{model}"'
    if not isinstance(entry, dict):
        faults.append(f'{key}: must be like {{ prompt = "0.15", completion = "0.60" }}')
        return None
    before = len(faults)
    faults += [f"{key}.{name}: is unknown; expected 'prompt' or 'completion'" for name in entry.keys() - _PARTS]
    amounts = [_amount(f"{key}.{name}", entry.get(name), faults) for name in _PARTS]
    return Price(*amounts) if len(faults) == before else None


_PARTS = ("prompt", "completion")


def _amount(key: str, value: Any, faults: list[str]) -> Decimal:
    """Return an amount in US dollars per million tokens; if the value is faulty, add the fault and return 0."""
    try:
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            raise InvalidOperation
        amount = Decimal(value)
    except InvalidOperation:
        faults.append(f"{key}: is missing" if value is None else f'{key}: must be a number, for example "0.15"')
        return Decimal(0)
    if not amount.is_finite() or amount < 0:
        faults.append(f"{key}: is {amount}, must be finite and not negative")
        return Decimal(0)
    return amount
