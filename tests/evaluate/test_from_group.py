"""An evaluation's folder knows the group's edit that it began with by what it is, not by where it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from idiolect.application.chameleon_starts import save_start
from idiolect.application.run import CallSettings
from idiolect.errors import SettingsError
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.evaluation import ask_people
from idiolect.evaluate.preparing import prepare
from idiolect.methods.chameleon.personalization import ChameleonPersonalization
from idiolect.methods.chameleon.settings import Variant, preset
from idiolect.models.language_model import Usage
from idiolect.models.local import load_local_model
from tests.cli.open_weights import weights
from tests.evaluate.small_world import lines
from tests.methods.chameleon.starts import random_start
from tests.models.tiny import SIZES


def saved(folder: Path, model: str, *, group: str = "critics", size: float = 0.01) -> Path:
    """A folder with a group's edit for a model that was learned from nobody."""
    start = random_start(SIZES["num_hidden_layers"], SIZES["hidden_size"], group=group, size=size)
    local = load_local_model(model, device="cpu")
    learned = ChameleonPersonalization(
        user_id=group,
        model=model,
        fingerprint=local.fingerprint(),
        settings=preset("measured"),
        variant=Variant("grouped", layers=None),
        edit=start.edit,
        insights=(),
        pairs=(),
        dropped={},
        layers=(),
        trials=(),
        n_learned=0,
        n_chosen=0,
        n_judged=0,
        usage=Usage(),
        start=start.measures,
    )
    local.close()
    save_start(learned, folder)
    return folder


async def test_it_goes_on_with_the_same_edit_elsewhere_and_with_no_other(tmp_path: Path) -> None:
    model, data, out = weights(tmp_path / "weights"), tmp_path / "users.jsonl", tmp_path / "out"
    people = [{"id": f"u{n}", "texts": [f"text {n} {k}" for k in range(3)]} for n in range(2)]
    data.write_text("".join(json.dumps(each) + "\n" for each in people))

    async def ask(folder: Path, methods: str = "vanilla,chameleon-start") -> None:
        values = {"task": "users", "data": data, "model": model, "methods": methods, "train": 2, "test": 1}
        values |= {
            "preset": "api",
            "similarity": "bm25",
            "controls": False,
            "baseline": "chameleon-start",
            "from_group": str(folder),
        }
        await ask_people(prepare(EvaluationConfig.model_validate(values)), out, calls=CallSettings())

    first = saved(tmp_path / "here" / "critics", model)
    await ask(first, "chameleon-start")
    kept = (out / "config.json").read_text(encoding="utf-8")
    digest = json.loads((first / "edit.json").read_text(encoding="utf-8"))["edit"]
    assert json.loads(kept)["from_group"] == {"group": "critics", "digest": digest}
    assert str(tmp_path) not in kept
    answers = lines(out)
    await ask(Path(shutil.move(first, tmp_path / "there")))
    assert [line for line in lines(out) if line["arm"] == answers[0]["arm"]] == answers
    assert len(lines(out)) == 2 * len(answers), "the other method was added"
    for other in (saved(tmp_path / "other", model, size=0.02), saved(tmp_path / "fans", model, group="fans")):
        with pytest.raises(SettingsError, match="differs in the group's edit at which steps begin"):
            await ask(other)
