"""What names mean, where keys come from, and that no name or message holds a secret."""

from __future__ import annotations

import pytest

from idiolect.errors import SettingsError
from idiolect.models.remote.endpoint import Endpoint, headers_for, is_remote_name, key_advice, parse_endpoint, read_key

KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "IDIOLECT_API_KEY", "IDIOLECT_API_KEY_LOCALHOST_8000")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in KEYS:
        monkeypatch.delenv(variable, raising=False)


def parsed(name: str) -> Endpoint:
    endpoint = parse_endpoint(name)
    assert endpoint is not None
    return endpoint


@pytest.mark.parametrize(
    ("name", "base_url", "model"),
    [
        ("openai:anything/at:all", "https://api.openai.com/v1", "anything/at:all"),
        ("gpt-4o-mini", "https://api.openai.com/v1", "gpt-4o-mini"),
        ("chatgpt-4o-latest", "https://api.openai.com/v1", "chatgpt-4o-latest"),
        ("o3", "https://api.openai.com/v1", "o3"),
        (" o4-mini ", "https://api.openai.com/v1", "o4-mini"),
        ("http://localhost:8000/v1#qwen2.5:7b", "http://localhost:8000/v1", "qwen2.5:7b"),
        ("http://localhost:8000/v1/chat/completions#m", "http://localhost:8000/v1", "m"),
        ("HTTPS://Example.org//#a/b?c", "https://example.org", "a/b?c"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1", ""),
    ],
)
def test_endpoint_is_what_the_name_means(name: str, base_url: str, model: str) -> None:
    endpoint = parsed(name)
    assert (endpoint.base_url, endpoint.model) == (base_url, model)
    assert parsed(endpoint.name) == endpoint


@pytest.mark.parametrize("name", ["embedded", "Qwen/Qwen3-0.6B", "gpt2", "openai/gpt-oss-20b", "o100", "replay:a", ""])
def test_endpoint_is_none_for_other_names(name: str) -> None:
    assert not is_remote_name(name)
    assert parse_endpoint(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "http://user:hunter2@localhost/v1#m",
        "http://hunter2@localhost/v1#m",
        "http://localhost/v1?key=hunter2#m",
        "http://localhost/v1?api-version=1&key=hunter2#m",
        "http://localhost/v1?api-version=#m",
        "http://localhost:hunter2/v1",
        "http://[hunter2/v1",
        "ftp://localhost/hunter2",
        "http:///hunter2",
        "http://local host/hunter2",
        "http://localhost\\hunter2",
        "openai:",
        "openai:hunter2 x",
        "openai:" + "x" * 201,
    ],
)
def test_endpoint_refuses_a_bad_name_without_repeating_it(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_endpoint(name)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_endpoint_of_openai_follows_the_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:9/v1/")
    endpoint = parsed("gpt-4o")
    assert endpoint.base_url == "http://localhost:9/v1"
    assert endpoint.name == "openai:gpt-4o"
    assert read_key(endpoint) == "none"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:hunter2@localhost")
    with pytest.raises(SettingsError, match="OPENAI_BASE_URL contains a user"):
        parse_endpoint("gpt-4o")


def test_key_is_taken_from_the_nearest_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = parsed("http://localhost:8000/v1#m")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert read_key(endpoint) == "none"  # OpenAI's key goes nowhere else
    monkeypatch.setenv("IDIOLECT_API_KEY", "sk-any")
    assert read_key(endpoint) == "sk-any"
    monkeypatch.setenv("IDIOLECT_API_KEY_LOCALHOST_8000", " sk-host\n")
    assert read_key(endpoint) == "sk-host"
    assert read_key(parsed("openai:m")) == "sk-openai"
    monkeypatch.delenv("IDIOLECT_API_KEY")
    assert read_key(parsed("https://api.openai.com/v1#m")) == "sk-openai"


def test_key_is_required_at_openai_only() -> None:
    for name in ("gpt-4o", "https://api.openai.com/v1#m"):
        with pytest.raises(SettingsError, match=r"set the environment variable OPENAI_API_KEY$"):
            read_key(parsed(name))
    assert read_key(parsed("http://localhost:8000/v1#m")) == "none"


def test_advice_on_a_refused_key_names_every_variable_that_it_may_be_in() -> None:
    advice = key_advice(parsed("https://api.openai.com/v1#m"), "sk-any")
    assert advice == "check the key in IDIOLECT_API_KEY_API_OPENAI_COM or IDIOLECT_API_KEY or OPENAI_API_KEY"
    assert key_advice(parsed("gpt-4o"), "sk-any") == "check the key in OPENAI_API_KEY"


def test_key_that_cannot_be_one_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("sk-hunter2\nX-Header: 1", "sk-hunter2 é", "sk-hunter2\x07"):
        monkeypatch.setenv("OPENAI_API_KEY", value)
        with pytest.raises(SettingsError, match="OPENAI_API_KEY") as caught:
            read_key(parsed("gpt-4o"))
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example", "\u2603..example", ".example"])
def test_host_that_cannot_be_a_name_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="host is empty, too long or not a name"):
        parse_endpoint(f"http://{host}:8000/v1#m")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "b\u00fccher.example", "a_b.example."])
def test_host_that_can_be_a_name_is_taken(host: str) -> None:
    endpoint = parse_endpoint(f"http://{host}:8000/v1#m")
    assert endpoint is not None
    assert endpoint.base_url == f"http://{host}:8000/v1"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("https://n.openai.azure.com/openai/deployments/dep?api-version=2024-10-21", "dep"),
        ("https://n.openai.azure.com/openai/deployments/dep/chat/completions?api-version=2024-10-21#dep", "dep"),
        ("https://n.openai.azure.com/openai/deployments/dep/?api-version=2024-10-21#other", "other"),
    ],
)
def test_deployment_of_azure_keeps_its_version(name: str, model: str) -> None:
    endpoint = parsed(name)
    assert endpoint.base_url == "https://n.openai.azure.com/openai/deployments/dep"
    assert endpoint.address("/chat/completions") == f"{endpoint.base_url}/chat/completions?api-version=2024-10-21"
    assert endpoint.model == model
    assert endpoint.azure
    assert parsed(endpoint.name) == endpoint


def test_azure_gets_the_key_in_its_own_header() -> None:
    for url, azure in (
        ("https://n.openai.azure.com/openai/v1", True),
        ("https://n.services.ai.azure.com/openai/v1", True),
        ("http://localhost:8000/v1?api-version=preview", True),
        ("http://localhost:8000/v1", False),
        ("https://openai.azure.com.example.org/v1", False),
    ):
        headers = headers_for(parsed(f"{url}#m"), "sk-1")
        assert headers["Authorization"] == "Bearer sk-1"
        assert headers.get("api-key") == ("sk-1" if azure else None)
