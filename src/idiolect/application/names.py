"""Names that callers choose from: methods, presets, ways of answering. Imports nothing, so that help is immediate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

MethodName = Literal["fermi", "chameleon"]
AskedMethod = Literal["fermi", "chameleon", "both"]
AnsweringMode = Literal["generate", "likelihood"]
PresetName = Literal["api", "demo", "local", "paper", "paper-offline", "measured", "grouped"]
ChameleonPresetName = Literal["grouped", "measured", "paper"]
ScopeName = Literal["chat", "people"]  # of API keys, as in `store.api_keys`

FERMI: Final = "fermi"
CHAMELEON: Final = "chameleon"
PRESETS: Mapping[MethodName, tuple[str, ...]] = {
    FERMI: ("api", "demo", "local", "paper", "paper-offline"),
    CHAMELEON: ("grouped", "measured", "paper"),
}
PROPOSERS = ("llm", "demonstrations")
DEFAULT_MODEL: Final = "embedded"
