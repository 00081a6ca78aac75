"""The endpoint of a remote model, from the name that a user writes; the first step of the remote model.

    openai:NAME, or gpt-…, chatgpt-…, o1…, o3…, o4…    OpenAI, or the server at OPENAI_BASE_URL
    http(s)://host[:port]/v1#MODEL                     any server that speaks OpenAI's protocol
    http(s)://host[:port]/v1                           the same, for a server with only one model

Keys come from the environment and are never part of a name, because names are stored with learned artifacts and shown
in messages. A name that could contain a secret (user, password or query in a URL) is refused without being repeated.
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
_NO_KEY = "none"  # servers that require no key ignore it; the client requires one


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model behind one URL; contains no secret.

    Args:
        base_url: the URL without a trailing slash; requests go to `base_url`/chat/completions and so on.
        model: the server's name for the model; "" for the only model that the server lists.
        key_variable: the environment variable in which the key is looked for first.
        openai: whether the name is that of an OpenAI model, wherever OPENAI_BASE_URL leads.
    """

    base_url: str
    model: str
    key_variable: str
    openai: bool = False

    @property
    def name(self) -> str:
        """The model's full name, which is parsed to the same endpoint."""
        if self.openai:
            return f"{_OPENAI}{self.model}"
        return f"{self.base_url}#{self.model}" if self.model else self.base_url


def is_remote_name(name: str) -> bool:
    """Return whether a name is one of a model behind an API, even if it is not a valid one."""
    name = name.strip()
    return bool(name.startswith(_OPENAI) or _ANY_URL.match(name) or _OPENAI_MODEL.fullmatch(name))


def parse_endpoint(name: str) -> Endpoint | None:
    """Return the endpoint that a name refers to; None if it does not refer to a remote model.

    Raises:
        SettingsError: it does, but its URL or model is not valid, or contains a secret.
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
    """Return the endpoint's key from the environment; a dummy if none is set.

    Raises:
        SettingsError: the endpoint is OpenAI's own and no key is set, or the value that is set can't be a key.
    """
    at_openai = urlsplit(endpoint.base_url).hostname == _OPENAI_HOST
    for variable in _variables(endpoint, at_openai):
        if key := os.environ.get(variable, "").strip():
            if not (key.isascii() and key.isprintable() and " " not in key):
                raise SettingsError(f"the value of {variable} can't be a key: it has spaces or unusual characters")
            return key
    if at_openai:
        raise SettingsError(f"OpenAI requires a key: set the environment variable {endpoint.key_variable}")
    return _NO_KEY


def has_key(key: str) -> bool:
    """Return whether `read_key` found a key."""
    return key != _NO_KEY


def _variables(endpoint: Endpoint, at_openai: bool) -> tuple[str, ...]:
    if endpoint.openai:
        return (endpoint.key_variable,)
    return (endpoint.key_variable, _KEY, "OPENAI_API_KEY") if at_openai else (endpoint.key_variable, _KEY)


def _base_url(url: str, what: str) -> str:
    """Return scheme, host, port and path of a URL, without a trailing slash or the path of chat completions."""
    parts = _split(url, what)
    if "@" in parts.netloc:
        raise SettingsError(f"{what} contains a user or a password; leave them out, keys come from the environment")
    if "?" in url:
        raise SettingsError(f"{what} contains a query ('?'); leave it out, keys come from the environment")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def _split(url: str, what: str) -> SplitResult:
    """Split a URL; refuse an invalid one without repeating it, because it may contain a password in the wrong place."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        raise SettingsError(f"{what} is not valid: check its host and port") from None
    if parts.scheme not in ("http", "https"):
        raise SettingsError(f"{what} must begin with http:// or https://")
    if not host or not url.strip().isprintable() or re.search(r"[\s\\]", url.strip()):
        raise SettingsError(f"{what} is not valid: it must have a host and no spaces")
    try:
        host.encode("idna")  # as the HTTP client will
    except UnicodeError:
        raise SettingsError(f"{what} is not valid: a part of its host is empty, too long or not a name") from None
    return parts


def _model(model: str) -> str:
    model = model.strip()
    if not model:
        raise SettingsError(f"no model is named; write {_OPENAI}NAME")
    if not model.isprintable() or re.search(r"\s", model) or len(model) > 200:
        raise SettingsError("the model's name has spaces or unusual characters, or is longer than 200 characters")
    return model
