"""Prices: which table, name and pattern decides, and a user's file whose faults are told in plain words."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from idiolect.errors import SettingsError
from idiolect.models.calls import prices
from idiolect.models.calls.prices import Price, PriceTable


@pytest.fixture(autouse=True)
def settings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this user's settings, empty at first; no file is named."""
    folder = tmp_path / "settings"
    folder.mkdir()
    monkeypatch.delenv("IDIOLECT_PRICES", raising=False)
    monkeypatch.setattr(prices, "user_config_dir", lambda name: str(folder) if name == "idiolect" else "")
    return folder


def price(prompt: str, completion: str) -> Price:
    return Price(Decimal(prompt), Decimal(completion))


def written(folder: Path, text: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_packaged_table_knows_openai_s_models() -> None:
    packaged = PriceTable.load()
    assert packaged.as_of is not None
    assert packaged.as_of.year == 2025
    assert packaged.price("gpt-4o-mini") == price("0.15", "0.60")
    assert packaged.price("gpt-4o") == price("2.50", "10")
    assert packaged.price("gpt-4o-2024-05-13") == price("5", "15")
    assert packaged.price("gpt-4.1-mini-2025-04-14") == price("0.40", "1.60")
    assert packaged.price("gpt-4.1-2025-04-14") == price("2", "8")
    assert packaged.price("gpt-5-nano") == price("0.05", "0.40")
    assert packaged.price("text-embedding-3-large") == price("0.13", "0")
    for name in ("gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "gpt-4.1", "gpt-4.1-nano", "o3", "o4-mini", "gpt-5"):
        assert packaged.price(name) is not None
    for name in ("gpt-4o-audio-preview", "o3-pro", "gpt-5-pro", "embedded", "org/model"):
        assert packaged.price(name) is None


def test_other_servers_may_charge_otherwise_for_the_same_name() -> None:
    packaged = PriceTable.load()
    same = packaged.price("gpt-4o-mini")
    assert packaged.price("openai:gpt-4o-mini") == same
    assert packaged.price("https://api.openai.com/v1#gpt-4o-mini") == same
    assert packaged.price("https://api.openai.com/v1/#gpt-4o-mini") == same
    for name in ("http://localhost:8000/v1#gpt-4o-mini", "http://api.openai.com/v1#gpt-4o-mini",
                 "https://api.openai.com.evil.org/v1#gpt-4o-mini", "openai/gpt-4o-mini"):  # fmt: skip
        assert packaged.price(name) is None


def test_whole_names_of_a_server_may_be_patterns() -> None:
    own = PriceTable(({"http://localhost:8000/*": price("0", "0"), "gpt-*": price("1", "1")},))
    assert own.price("http://localhost:8000/v1#gpt-4o") == price("0", "0")
    assert own.price("http://localhost:9000/v1#gpt-4o") is None
    assert own.price("openai:gpt-4o") == price("1", "1")


def test_the_exact_name_comes_first_and_then_the_longest_pattern() -> None:
    own = PriceTable(
        ({"*": price("1", "1"), "gpt-*": price("2", "2"), "gpt-*-mini": price("3", "3"), "gpt-9": price("4", "4")},)
    )
    names = ("llama", "gpt-5", "gpt-5-mini", "gpt-9")
    assert [own.price(name) for name in names] == [price(n, n) for n in "1234"]
    assert PriceTable(({"a.c": price("1", "1"), "a.c*": price("2", "2")},)).price("abc") is None  # no other wildcard


def test_the_whole_name_comes_before_the_part_after_openai() -> None:
    own = PriceTable(({"openai:*": price("1", "1"), "gpt-4o": price("2", "2")},))
    assert own.price("openai:gpt-4o") == price("1", "1")
    assert own.price("gpt-4o") == price("2", "2")


def test_a_cost_is_exact() -> None:
    assert price("0.15", "0.60").cost(1_000_000, 0) == Decimal("0.15")
    assert price("0.15", "0.60").cost(3, 7) == Decimal("0.00000465")
    with pytest.raises(ValueError, match="-1"):
        price("-1", "0")


def test_a_user_s_file_goes_before_the_packaged_one(
    tmp_path: Path, settings_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(settings_folder, 'as_of = 2031-01-02\n[models]\n"gpt-4*" = { prompt = 7, completion = 8.5 }\n')
    usual = PriceTable.load()
    assert usual.as_of == date(2031, 1, 2)
    assert usual.price("gpt-4o") == price("7", "8.5")
    assert usual.price("openai:gpt-4o") == price("7", "8.5")
    assert usual.price("gpt-5") == price("1.25", "10")

    named = tmp_path / "named.toml"
    named.write_text('[models]\n"gpt-4o" = { prompt = "1", completion = "1" }\n')
    monkeypatch.setenv("IDIOLECT_PRICES", str(named))
    assert PriceTable.load().price("gpt-4o") == price("1", "1")
    assert PriceTable.load().as_of == date(2025, 8, 31)

    given = tmp_path / "given.toml"
    given.write_text('[models]\n"gpt-4o" = { prompt = "2", completion = "2" }\n')
    assert PriceTable.load(given).price("gpt-4o") == price("2", "2")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("models = [", "is not TOML: "),
        ("[prices]\n", "prices: is unknown; expected 'as_of' or 'models'"),
        ('as_of = "2025"\n', "as_of: must be a date, for example 2025-08-31"),
        ("as_of = 2025-01-01T00:00:00\n", "as_of: must be a date, for example 2025-08-31"),
        ("models = 3\n", "models: must be a table"),
        ("[models]\nm = 3\n", """models."m": must be like { prompt = "0.15", completion = "0.60" }"""),
        ('[models]\nm = {prompt="1"}\n', 'models."m".completion: is missing'),
        (
            '[models]\nm = {prompt="1",completion="1",cached="1"}\n',
            "models.\"m\".cached: is unknown; expected 'prompt' or 'completion'",
        ),
        ('[models]\nm = {prompt="-1",completion="1"}\n', 'models."m".prompt: is -1, must be finite and not negative'),
        ('[models]\nm = {prompt="NaN",completion="1"}\n', 'models."m".prompt: is NaN, must be finite and not negative'),
        ("[models]\nm = {prompt=nan,completion=1}\n", 'models."m".prompt: is NaN, must be finite and not negative'),
        ("[models]\nm = {prompt=inf,completion=1}\n", 'models."m".prompt: is Infinity, must be finite'),
        ('[models]\nm = {prompt="cheap",completion="1"}\n', 'models."m".prompt: must be a number, for example "0.15"'),
        ("[models]\nm = {prompt=true,completion=1}\n", 'models."m".prompt: must be a number, for example "0.15"'),
    ],
)
def test_a_fault_of_a_user_s_file_is_told(tmp_path: Path, text: str, fault: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        PriceTable.load(path)
    assert str(caught.value).startswith(f"{path}: {fault}")
    assert "\n" not in str(caught.value)


def test_all_faults_of_a_user_s_file_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, 'x = 1\n[models]\na = {prompt="-1", completion="b"}\n"c" = 3\n')
    with pytest.raises(SettingsError) as caught:
        PriceTable.load(path)
    assert len(str(caught.value).splitlines()) == 4


def test_a_file_that_can_t_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: can't be read: No such file"):
        PriceTable.load(tmp_path / "absent.toml")
    with pytest.raises(SettingsError, match="can't be read"):
        PriceTable.load(tmp_path)
    monkeypatch.setenv("IDIOLECT_PRICES", "~nobody-of-that-name/x")
    with pytest.raises(SettingsError, match="IDIOLECT_PRICES=~nobody-of-that-name/x: that user has no known home"):
        PriceTable.load()
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    monkeypatch.setenv("IDIOLECT_PRICES", str(binary))
    with pytest.raises(SettingsError, match=r"binary\.toml: is not UTF-8 text"):
        PriceTable.load()
