"""Where a remote model is, from the name that a user writes: the first step of the remote model.

    openai:NAME, or gpt-…, chatgpt-…, o1…, o3…, o4…    OpenAI, or the server at OPENAI_BASE_URL
    http(s)://host[:port]/v1#MODEL                     any server that speaks OpenAI's protocol
    http(s)://host[:port]/v1                           the same, where the server has one model only

Keys come from the environment and are never part of a name, because names are kept with what was learned and shown in
messages. A name that could hold a secret (user, password or query in a URL) is refused without being repeated.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from idiolect.errors import SettingsError

_OPENAI = "openai:"
_OPENAI_URL = "https://api.openai.com/v1"
_OPENAI_HOST = "api.openai.com"
_OPENAI_MODEL = re.compile(r"(?:(?:chat)?gpt-|o[134](?:-|$))[^/\s]*")
_ANY_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_KEY = "IDIOLECT_API_KEY"
_NO_KEY = "none"  # servers that want no key ignore it; the client can't go without


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model behind one URL; holds no secret.

    Args:
        base_url: ends in no slash; requests go to `base_url`/chat/completions and so on.
        model: what the server calls it; "" where the only model that it lists is meant.
        key_variable: the environment variable that the key is first looked for in.
        openai: whether the name asked for OpenAI's model, wherever OPENAI_BASE_URL leads.
    """

    base_url: str
    model: str
    key_variable: str
    openai: bool = False

    @property
    def name(self) -> str:
        """The model's full name, which means the same endpoint again."""
        if self.openai:
            return f"{_OPENAI}{self.model}"
        return f"{self.base_url}#{self.model}" if self.model else self.base_url


def is_remote_name(name: str) -> bool:
    """Return whether a name means a model behind an API, be the name a good one or not."""
    name = name.strip()
    return bool(name.startswith(_OPENAI) or _ANY_URL.match(name) or _OPENAI_MODEL.fullmatch(name))


def parse_endpoint(name: str) -> Endpoint | None:
    """Return the endpoint that a name means; None if it means no remote model.

    Raises:
        SettingsError: it means one, but its URL or model is no good, or holds a secret.
    """
    name = name.strip()
    if not is_remote_name(name):
        return None
    if _ANY_URL.match(name):
        url, _, model = name.partition("#")
        base_url = _base_url(url, "the model's URL")
        variable = f"{_KEY}_{re.sub(r'[^A-Z0-9]', '_', urlsplit(base_url).netloc.upper())}"
        return Endpoint(base_url, _model(model) if model.strip() else "", variable)
    base_url = _base_url(os.environ.get("OPENAI_BASE_URL", "").strip() or _OPENAI_URL, "OPENAI_BASE_URL")
    return Endpoint(base_url, _model(name.removeprefix(_OPENAI)), "OPENAI_API_KEY", openai=True)


def read_key(endpoint: Endpoint) -> str:
    """Return the endpoint's key from the environment; a dummy where none is set.

    Raises:
        SettingsError: OpenAI itself is meant and no key is set, or what is set can't be a key.
    """
    at_openai = urlsplit(endpoint.base_url).hostname == _OPENAI_HOST
    for variable in _variables(endpoint, at_openai):
        if key := os.environ.get(variable, "").strip():
            if not (key.isascii() and key.isprintable() and " " not in key):
                raise SettingsError(f"what {variable} holds can't be a key: it has spaces or unusual characters")
            return key
    if at_openai:
        raise SettingsError(f"OpenAI wants a key: set the environment variable {endpoint.key_variable}")
    return _NO_KEY


def has_key(key: str) -> bool:
    """Return whether `read_key` found a key."""
    return key != _NO_KEY


def _variables(endpoint: Endpoint, at_openai: bool) -> tuple[str, ...]:
    if endpoint.openai:
        return (endpoint.key_variable,)
    return (endpoint.key_variable, _KEY, "OPENAI_API_KEY") if at_openai else (endpoint.key_variable, _KEY)


def _base_url(url: str, what: str) -> str:
    """Return scheme, host, port and path as they were written, without a trailing slash or the path of the chat."""
    parts = _split(url, what)
    if "@" in parts.netloc:
        raise SettingsError(f"{what} holds a user or a password: leave them out, keys come from the environment")
    if "?" in url:
        raise SettingsError(f"{what} holds a query ('?'): leave it out, keys come from the environment")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def _split(url: str, what: str) -> SplitResult:
    """Split a URL; refuse what is none, without repeating it: it may hold a password in the wrong place."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        raise SettingsError(f"{what} is no URL: its host or port makes no sense") from None
    if parts.scheme not in ("http", "https"):
        raise SettingsError(f"{what} must begin with http:// or https://")
    if not host or not url.strip().isprintable() or re.search(r"[\s\\]", url.strip()):
        raise SettingsError(f"{what} is no URL: it needs a host, and no spaces")
    try:
        host.encode("idna")  # as whoever calls it will
    except UnicodeError:
        raise SettingsError(f"{what} is no URL: a part of its host is empty, too long or no name") from None
    return parts


def _model(model: str) -> str:
    model = model.strip()
    if not model:
        raise SettingsError(f"no model is named: write {_OPENAI}NAME")
    if not model.isprintable() or re.search(r"\s", model) or len(model) > 200:
        raise SettingsError("the model's name holds spaces or unusual characters, or is longer than 200")
    return model
