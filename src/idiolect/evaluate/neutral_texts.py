"""Texts that the base model writes itself, to measure how far every arm is from it.

    subjects → texts, written at temperature 1 → neutral.jsonl → neutral_changes → AnswerRecord

    change of a text = mean over its tokens t of  log p(t | arm) − log p(t | base)

The arm is the edited or trained model, with its prompt if it has one; the request is the one that the base model
answered, without a prompt. A change of 0 leaves the model as it is, and the more negative it is, the more of what the
model would say is lost (`methods.neutral_texts`). Texts are written once per evaluation and kept in its folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idiolect.errors import ModelError, SettingsError
from idiolect.evaluate.benchmark import text_key
from idiolect.evaluate.lines import json_lines, replace_file
from idiolect.evaluate.schema import SCHEMA_VERSION, VERSION_KEY
from idiolect.methods.neutral_texts import NeutralText, draw_texts
from idiolect.methods.texts import text_log_likelihoods

if TYPE_CHECKING:
    from idiolect.evaluate.methods.bench import Bench
    from idiolect.evaluate.methods.method import TextLikelihoods

NEUTRAL_FILE = "neutral.jsonl"
_MAX_TOKENS = 96
_OWNER = "evaluation"  # owner of calls that are nobody's


async def neutral_texts(bench: Bench, n: int, folder: Path) -> tuple[NeutralText, ...]:
    """Return the texts of an evaluation: those in its folder, or n new ones, which are written there.

    Args:
        bench: the bench, whose model writes and scores them.
        n: number of texts; 0: none. Blank ones are left out.
        folder: folder of the evaluation.

    Raises:
        SettingsError: the model is behind an API, which scores no texts.
        ModelError: the model could not answer, or wrote nothing.
        HaltedError: the run was halted.
        OSError: the texts cannot be written.
    """
    if not n:
        return ()
    if bench.model.remote:
        raise SettingsError("neutral texts are scored by likelihood, which a model behind an API does not give: set 0")
    path = folder / NEUTRAL_FILE
    found = _read(path)
    if not found:
        found = await _written(bench, n)
        replace_file(path, "".join(json.dumps(_line(each), ensure_ascii=False) + "\n" for each in found))
    return found


async def neutral_changes(texts: Sequence[NeutralText], log_likelihoods: TextLikelihoods) -> list[float]:
    """Return the change of each text's log-probability against the base model, in nat per token."""
    found = await log_likelihoods([each.text for each in texts], requests=[each.request for each in texts])
    return [value - each.logprob for value, each in zip(found, texts, strict=True)]


async def _written(bench: Bench, n: int) -> tuple[NeutralText, ...]:
    model = bench.calls.model(bench.model, owner=_OWNER)
    kept, _ = await draw_texts(_requests(n), model, max_tokens=_MAX_TOKENS, seed=0)
    if not kept:
        raise ModelError(f"the model {bench.model.name!r} wrote no neutral text: all were blank")
    requests = [request for request, _ in kept]
    scores = await text_log_likelihoods([text for _, text in kept], model, requests=requests)
    return tuple(NeutralText(*each, score) for each, score in zip(kept, scores, strict=True))


def _requests(n: int) -> list[str]:
    """Return n requests, beginning with the last subjects, because CHAMELEON's pairs begin with the first ones."""
    from idiolect.methods.chameleon.preferences import subject_query, subjects

    about = [subject_query(subject).text for subject in reversed(subjects())]
    return [about[place % len(about)] for place in range(n)]


def _line(text: NeutralText) -> dict[str, Any]:
    return {
        VERSION_KEY: SCHEMA_VERSION,
        "key": text_key(text.text),
        "request": text.request,
        "text": text.text,
        "logprob": text.logprob,
    }


def _read(path: Path) -> tuple[NeutralText, ...]:
    """Return the texts in a file; () if there is none.

    Raises:
        SettingsError: a line is not such a text.
    """
    try:
        return tuple(
            NeutralText(str(line["request"]), str(line["text"]), float(line["logprob"])) for _, line in json_lines(path)
        )
    except (KeyError, TypeError, ValueError):
        raise SettingsError(f"{path} has a line that is no neutral text: it was changed by hand") from None
