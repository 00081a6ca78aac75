"""The endpoint of a remote model, from the name that a user writes; the first step of the remote model.

    openai:NAME, or gpt-…, chatgpt-…, o1…, o3…, o4…    OpenAI, or the server at OPENAI_BASE_URL
    http(s)://host[:port]/v1#MODEL                     any server that speaks OpenAI's protocol
    http(s)://host[:port]/v1                           the same, for a server with only one model
    https://host/openai/deployments/NAME?api-version=… a deployment of Azure OpenAI, whose calls need the version

Keys come from the environment and are never part of a name, because names are stored with learned artifacts and shown
in messages. A name that could contain a secret (a user, a password or another query in a URL) is refused without being
repeated.
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
_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)$")
_VERSION = re.compile(r"api-version=[A-Za-z0-9._-]{1,40}")
_KEY = "IDIOLECT_API_KEY"
_OPENAI_KEY = "OPENAI_API_KEY"
_ACCOUNT = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
_NO_KEY = "none"  # servers that require no key ignore it; the client requires one


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model behind one URL; contains no secret.

    Args:
        base_url: the URL without a trailing slash; requests go to `base_url`/chat/completions and so on.
        model: the server's name for the model; "" for the only model that the server lists.
        key_variable: the environment variable in which the key is looked for first.
        openai: whether the name is that of an OpenAI model, wherever OPENAI_BASE_URL leads.
        query: what follows "?" in the URL of every call, such as "api-version=2024-10-21"; "" for most servers.
    """

    base_url: str
    model: str
    key_variable: str
    openai: bool = False
    query: str = ""

    @property
    def name(self) -> str:
        """The model's full name, which is parsed to the same endpoint."""
        if self.openai:
            return f"{_OPENAI}{self.model}"
        url = self.address("")
        return f"{url}#{self.model}" if self.model else url

    @property
    def path(self) -> str:
        """The path of the base URL; "" if it has none."""
        return urlsplit(self.base_url).path

    def address(self, path: str) -> str:
        """Return the URL of a call, for a path such as "/chat/completions"."""
        return f"{self.base_url}{path}?{self.query}" if self.query else f"{self.base_url}{path}"

    @property
    def azure(self) -> bool:
        """Whether the endpoint is one of Azure, which takes the key in a header of its own."""
        host = urlsplit(self.base_url).hostname or ""
        return host.endswith(_AZURE_HOSTS) or bool(self.query or _DEPLOYMENT.search(self.path))


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
        base_url, query = _base_url(url, "the model's URL")
        variable = f"{_KEY}_{re.sub(r'[^A-Z0-9]', '_', urlsplit(base_url).netloc.upper())}"
        deployment = _DEPLOYMENT.search(base_url)
        named = _model(model) if model.strip() else deployment[1] if deployment else ""
        return Endpoint(base_url, named, variable, query=query)
    base_url, query = _base_url(os.environ.get("OPENAI_BASE_URL", "").strip() or _OPENAI_URL, "OPENAI_BASE_URL")
    return Endpoint(base_url, _model(name.removeprefix(_OPENAI)), _OPENAI_KEY, openai=True, query=query)


def read_key(endpoint: Endpoint) -> str:
    """Return the endpoint's key from the environment; a dummy if none is set.

    Raises:
        SettingsError: the endpoint is OpenAI's own and no key is set, or the value that is set can't be a key.
    """
    for variable in _variables(endpoint):
        if key := os.environ.get(variable, "").strip():
            if not (key.isascii() and key.isprintable() and " " not in key):
                raise SettingsError(f"the value of {variable} can't be a key: it has spaces or unusual characters")
            return key
    if _at_openai(endpoint):
        raise SettingsError(f"OpenAI requires a key: set the environment variable {_OPENAI_KEY}")
    return _NO_KEY


def key_advice(endpoint: Endpoint, key: str) -> str:
    """Return advice for a message about a refused key, or about a missing one."""
    variables = " or ".join(_variables(endpoint))
    return f"it requires a key; set {variables}" if key == _NO_KEY else f"check the key in {variables}"


def headers_for(endpoint: Endpoint, key: str) -> dict[str, str]:
    """Return the headers of every request to the endpoint; they contain the key."""
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Accept-Encoding": "identity",  # a small body could unpack to a huge one
        "User-Agent": "idiolect",
    }
    if endpoint.azure:
        headers["api-key"] = key
    if endpoint.openai:
        for header, variable in _ACCOUNT.items():
            if value := os.environ.get(variable, "").strip():
                headers[header] = value
    return headers


def _at_openai(endpoint: Endpoint) -> bool:
    return urlsplit(endpoint.base_url).hostname == _OPENAI_HOST


def _variables(endpoint: Endpoint) -> tuple[str, ...]:
    if endpoint.openai:
        return (endpoint.key_variable,)
    return (endpoint.key_variable, _KEY, *[_OPENAI_KEY] * _at_openai(endpoint))


def _base_url(url: str, what: str) -> tuple[str, str]:
    """Return scheme, host, port and path of a URL, without a trailing slash or the path of chat completions; and the
    query, which may be Azure's version only."""
    parts = _split(url, what)
    if "@" in parts.netloc:
        raise SettingsError(f"{what} contains a user or a password; leave them out, keys come from the environment")
    if "?" in url and not _VERSION.fullmatch(parts.query):
        raise SettingsError(
            f"{what} contains a query ('?') other than Azure's api-version; leave it out, keys come from the "
            "environment"
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}", parts.query


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
