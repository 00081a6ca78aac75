"""The settings of a gateway, from the command line, the environment and a TOML file, in this order of precedence.

    --port 9000 → IDIOLECT_SERVE_PORT=9000 → port = 9000 in the file → the default

Keys of the upstream are never settings: a setting names the environment variable or the file that holds one.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError as SourceError

from idiolect.application.names import CHAMELEON, DEFAULT_MODEL, FERMI, AskedMethod, MethodName, ScopeName
from idiolect.application.plain_faults import in_words, near_name
from idiolect.errors import SettingsError
from idiolect.models.remote.endpoint import Endpoint, parse_endpoint, read_key
from idiolect.serve.budgets import Budgets
from idiolect.serve.keys import KeyRecord
from idiolect.store import DEFAULT_TENANT
from idiolect.store.api_keys import hash_of

PREFIX = "IDIOLECT_SERVE_"
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_PASSWORD = re.compile(r"(//[^:/@]*:).*@")  # in the URL of a database
Origin = Literal["command line", "environment", "file", "default"]


class KeySetting(BaseModel):
    """A key that clients may show. The key itself is not written down: `sha256` is its hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Name of the key, for logs and limits.")]
    sha256: Annotated[str, Field(description="SHA-256 of the key, in hexadecimal digits.")]
    tenant: Annotated[str, Field(min_length=1, description="Tenant whose users it may ask as.")] = DEFAULT_TENANT
    user: Annotated[str | None, Field(description="The only user it may ask as.")] = None
    scopes: Annotated[tuple[ScopeName, ...], Field(description="What it may be used for.")] = ("chat",)
    requests_per_minute: Annotated[int | None, Field(ge=1)] = None

    @field_validator("sha256")
    @classmethod
    def _is_a_hash(cls, value: str) -> str:
        if not _HASH.fullmatch(value):
            raise ValueError("must be the SHA-256 of the key: 64 hexadecimal digits")
        return value.lower()

    @property
    def record(self) -> tuple[str, KeyRecord]:
        """The hash, with what is known of the key."""
        per_minute = self.requests_per_minute
        return self.sha256, KeyRecord(self.id, self.tenant, self.user, frozenset(self.scopes), per_minute)


class GatewaySettings(BaseSettings):
    """Settings of a gateway; `load_settings` reads them."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=PREFIX)

    host: Annotated[str, Field(min_length=1, description="Address to listen at.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen at; 0: any free one.")] = 8080
    store: Annotated[str | None, Field(description="Store of users: a folder or a database URL.")] = None
    upstream: Annotated[
        str | None, Field(description="URL of the server that answers; `#NAME` behind it is its usual model.")
    ] = None
    upstream_key_env: Annotated[str | None, Field(description="Environment variable with the upstream's key.")] = None
    upstream_key_file: Annotated[Path | None, Field(description="File with the upstream's key.")] = None
    model: Annotated[str | None, Field(description="Model that answers without an upstream.")] = None
    served_names: Annotated[
        tuple[str, ...], NoDecode, Field(description="Further names by which clients may ask for that model.")
    ] = ()
    method: Annotated[AskedMethod | None, Field(description="Method that personalizes; default: what has learned.")] = (
        None
    )
    anonymous: Annotated[
        Literal["auto", "yes", "no"],
        Field(description="Whether to answer without a key. auto: on loopback, if there is no key at all."),
    ] = "auto"
    anonymous_people: Annotated[
        bool, Field(description="Whether data about people needs no key either; for this machine, without a proxy.")
    ] = False
    keys: Annotated[tuple[KeySetting, ...], Field(description="Keys that clients may show.")] = ()
    trusted_peers: Annotated[
        tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...],
        NoDecode,
        Field(description="Addresses or networks whose `user_header` is believed."),
    ] = ()
    user_header: Annotated[str, Field(description="Header by which trusted peers name the user.")] = (
        "X-OpenWebUI-User-Id"
    )
    forward_user_ids: Annotated[
        bool, Field(description="Whether the upstream receives `user` and `safety_identifier`.")
    ] = False
    forward_headers: Annotated[
        tuple[str, ...], NoDecode, Field(description="Further headers that the upstream receives.")
    ] = ()
    max_body_bytes: Annotated[int, Field(ge=1024, description="Largest body of a request.")] = 32 * 2**20
    max_bodies_bytes: Annotated[
        int, Field(ge=1024, description="Bytes of all bodies in memory; beyond that, requests are answered with 503.")
    ] = 256 * 2**20
    body_timeout: Annotated[float, Field(gt=0, description="Seconds within which a body has to come.")] = 60.0
    idle_timeout: Annotated[
        float, Field(gt=0, description="Seconds that a connection may take to send the head of a request.")
    ] = 75.0
    unread_timeout: Annotated[
        float, Field(gt=0, description="Seconds after which a client is given up that takes nothing of its answer.")
    ] = 60.0
    requests_per_minute: Annotated[
        int | None, Field(ge=1, description="Requests a minute of one key, or one address without keys.")
    ] = None
    connect_timeout: Annotated[float, Field(gt=0, description="Seconds for a connection to the upstream.")] = 10.0
    upstream_timeout: Annotated[
        float, Field(gt=0, description="Seconds without a byte from the upstream that end a call.")
    ] = 600.0
    shutdown_grace: Annotated[float, Field(ge=0, description="Seconds that answers may take at the end.")] = 30.0
    max_age: Annotated[
        float, Field(ge=0, description="Seconds for which what was learned is used without asking the store.")
    ] = 1.0
    cached_users: Annotated[int, Field(ge=1, description="Users whose personalization is kept in memory.")] = 2000
    workers: Annotated[int, Field(ge=0, le=64, description="Fits at a time in this process; 0: it only queues.")] = 1
    fit_model: Annotated[
        str | None, Field(description="Model that answers in fits; default: what answers conversations.")
    ] = None
    fit_optimizer: Annotated[str | None, Field(description="Model that writes prompts in fits; default: the same.")] = (
        None
    )
    keep_responses: Annotated[
        int, Field(ge=0, le=1000, description="Last answers of each known user that are kept for feedback; 0: none.")
    ] = 20
    keep_responses_seconds: Annotated[float, Field(gt=0, description="Seconds for which they are kept.")] = 86400.0
    learn_after: Annotated[
        int, Field(ge=0, description="Opinions from feedback after which a user is fitted; 0: never by itself.")
    ] = 5
    user_calls_per_day: Annotated[int | None, Field(ge=1, description="Calls of models to fit one user.")] = None
    user_calls_per_month: Annotated[int | None, Field(ge=1, description="The same in a month.")] = None
    user_money_per_day: Annotated[Decimal | None, Field(gt=0, description="Dollars to fit one user.")] = None
    user_money_per_month: Annotated[Decimal | None, Field(gt=0, description="The same in a month.")] = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="Least level of logs.")] = (
        "info"
    )
    log_bodies: Annotated[bool, Field(description="Whether requests' bodies are logged.")] = False
    traces: Annotated[bool, Field(description="Whether OpenTelemetry traces are sent; needs the extra `otel`.")] = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing here: `load_settings` merges the sources, so that it knows where each value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("trusted_peers", mode="before")
    @classmethod
    def _are_networks(cls, value: object) -> object:
        """Read networks here, because pydantic would list every type that it tried; it runs after `_from_commas`."""
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list of addresses or networks")
        try:
            return tuple(ipaddress.ip_network(str(each)) for each in value)
        except ValueError as error:
            raise ValueError(f"{error}; expected an address or a network such as 10.0.0.0/8") from None

    @field_validator("trusted_peers", "served_names", "forward_headers", mode="before")
    @classmethod
    def _from_commas(cls, value: object) -> object:
        """Take a list as it is, and a text of the environment as names between commas."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("user_header")
    @classmethod
    def _is_a_header(cls, value: str) -> str:
        if not _TOKEN.fullmatch(value):
            raise ValueError("must be the name of a header")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> GatewaySettings:
        if self.upstream is not None and self.model is not None:
            raise ValueError("an upstream and a model were given: one of them answers")
        if self.upstream is not None and self.method not in (None, "fermi"):
            raise ValueError(f"method is {self.method!r}, but only Fermi's prompts work with an upstream")
        if self.upstream_key_env is not None and self.upstream_key_file is not None:
            raise ValueError("the upstream's key is in a variable and in a file: name one of them")
        if self.max_bodies_bytes < self.max_body_bytes:
            raise ValueError("max_bodies_bytes is less than max_body_bytes: the largest body would never be read")
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same id")
        return self

    @property
    def answering_model(self) -> str:
        """Name of the model that answers without an upstream."""
        return self.model or DEFAULT_MODEL

    @property
    def learning_model(self) -> str:
        """Name of the model that answers in fits."""
        return self.fit_model or self.upstream or self.answering_model

    @property
    def learning_method(self) -> MethodName:
        """Method of fits that name none."""
        return CHAMELEON if self.method == CHAMELEON else FERMI

    @property
    def budgets(self) -> Budgets:
        """What fits may spend on each user."""
        return Budgets(
            self.user_calls_per_day, self.user_calls_per_month, self.user_money_per_day, self.user_money_per_month
        )

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


class Loaded:
    """Settings, and where each value came from.

    Args:
        settings: the settings.
        origins: by name, where the value came from.
        notes: sentences about variables of the environment that are named like settings and are none.
    """

    def __init__(self, settings: GatewaySettings, origins: Mapping[str, Origin], notes: Sequence[str] = ()) -> None:
        self.settings, self.origins, self.notes = settings, dict(origins), tuple(notes)

    def lines(self) -> list[str]:
        """Return the settings as lines of TOML, each with where it came from; hashes and passwords are masked."""
        document = self.settings.model_dump(mode="json")
        found = []
        for name, value in document.items():
            if name == "keys":
                value = [{**key, "sha256": f"{key['sha256'][:6]}…"} for key in value]
            elif name == "store" and value is not None:
                value = _PASSWORD.sub(r"\1…@", value)
            text = f"{name} = {_toml(value)}" if value is not None else f"# {name} is not set"
            found.append(f"{text}  # {self.origins[name]}")
        return found


def load_settings(
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Return the settings in force.

    Args:
        file: TOML file; None: the one that `$IDIOLECT_SERVE_CONFIG` names, if it is set.
        overrides: values from the command line, by name; None as a value: not given.
        environment: environment variables; None: those of the process.

    Raises:
        SettingsError: a file cannot be read, or a value is not valid; every fault is named, and no value is repeated.
    """
    variables = dict(os.environ if environment is None else environment)
    named = file or (Path(variables[f"{PREFIX}CONFIG"]) if variables.get(f"{PREFIX}CONFIG") else None)
    sources: tuple[tuple[Origin, dict[str, Any]], ...] = (
        ("file", _read_file(named) if named is not None else {}),
        ("environment", _read_environment(variables)),
        ("command line", {name: value for name, value in (overrides or {}).items() if value is not None}),
    )
    merged: dict[str, Any] = {}
    origins: dict[str, Origin] = dict.fromkeys(GatewaySettings.model_fields, "default")
    for origin, values in sources:
        merged |= values
        origins |= dict.fromkeys(values, origin)
    try:
        return Loaded(GatewaySettings(**merged), origins, _unknown(variables))
    except ValidationError as error:
        faults = [in_words(fault, GatewaySettings.model_fields) for fault in error.errors(include_input=False)]
        raise SettingsError(f"settings of the gateway: {'; '.join(faults)}") from None


def upstream_of(settings: GatewaySettings) -> tuple[Endpoint, str]:
    """Return the upstream's endpoint and key.

    Raises:
        SettingsError: the URL is not valid or none is set, or the key is missing or cannot be read.
    """
    endpoint = parse_endpoint(settings.upstream or "")
    if endpoint is None:
        raise SettingsError("the upstream must be a URL such as https://api.openai.com/v1")
    if settings.upstream_key_env is not None:
        return endpoint, _checked(os.environ.get(settings.upstream_key_env, ""), settings.upstream_key_env)
    if settings.upstream_key_file is not None:
        try:
            text = settings.upstream_key_file.read_text("utf-8")
        except (OSError, ValueError):
            raise SettingsError(
                f"the file {settings.upstream_key_file} with the upstream's key is unreadable"
            ) from None
        return endpoint, _checked(text, str(settings.upstream_key_file))
    return endpoint, read_key(endpoint)


def key_of_environment(environment: Mapping[str, str] | None = None) -> tuple[str, KeyRecord] | None:
    """Return the key in `$IDIOLECT_SERVE_KEY`, which clients have to show; None if it is not set."""
    secret = (os.environ if environment is None else environment).get(f"{PREFIX}KEY", "").strip()
    return (hash_of(secret), KeyRecord("environment")) if secret else None


def _checked(key: str, where: str) -> str:
    key = key.strip()
    if not key or not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError(f"{where} has no key for the upstream")
    return key


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None


def _read_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    source = EnvSettingsSource(GatewaySettings)
    source.env_vars = {name.lower(): value for name, value in variables.items()}
    try:
        return dict(source())
    except SourceError as error:
        raise SettingsError(f"environment: {error}") from None


def _unknown(variables: Iterable[str]) -> list[str]:
    """Return a note on each variable that looks like a setting; it is no error, as platforms set variables, too."""
    known = [f"{PREFIX}{name.upper()}" for name in (*GatewaySettings.model_fields, "config", "key")]
    unknown = [name for name in sorted(variables) if name.upper().startswith(PREFIX) and name.upper() not in known]
    return [f"{name} is no setting and is ignored{near_name(name.upper(), known, cutoff=0.9)}" for name in unknown]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value.items() if inner is not None) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else _basic_string(str(value))


def _basic_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
