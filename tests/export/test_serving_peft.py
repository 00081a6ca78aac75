"""Exported adapters served by PEFT: two users and the base, in turn and in one batch, none of them leaking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from idiolect.export.verify import edited_logits
from idiolect.export.verify_peft import shared_copy
from idiolect.models.local import LocalModel
from tests.export.adapters import prompts, published, strong

USERS = {"ann": strong(1), "bob": strong(2)}
TURNS = (None, "ann", "bob", None, "bob", "ann", "ann", None)


@pytest.fixture(scope="module")
def served(embedded_model: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The base with both users' adapters loaded."""
    network, folder = embedded_model.network.module, tmp_path_factory.mktemp("adapters")
    made = {user: str(published(edit, network, "peft", folder).path) for user, edit in USERS.items()}
    model: Any = PeftModel.from_pretrained(shared_copy(network), made["ann"], adapter_name="ann")
    model.load_adapter(made["bob"], adapter_name="bob")
    return model.eval()


@torch.inference_mode()
def logits(model: Any, ids: tuple[int, ...]) -> torch.Tensor:
    last: torch.Tensor = model(torch.tensor([list(ids)])).logits[0, -8:]
    return last


def test_users_and_the_base_in_turn_get_what_each_gets_alone(embedded_model: LocalModel, served: Any) -> None:
    ids = prompts(embedded_model)[0]
    network = embedded_model.network.module
    alone = {user: edited_logits(network, [ids], edit) for user, edit in ({None: None} | USERS).items()}  # type: ignore[dict-item]
    scale = float(alone[None].abs().max())
    assert min(float((alone[None] - alone[user]).abs().max()) for user in USERS) > 0.05 * scale
    assert float((alone["ann"] - alone["bob"]).abs().max()) > 0.05 * scale
    for user in TURNS:
        if user is None:
            with served.disable_adapter():
                seen = logits(served, ids)
        else:
            served.set_adapter(user)
            seen = logits(served, ids)
        assert float((seen - alone[user]).abs().max()) < 1e-5 * scale


def test_a_mixed_batch_gives_every_row_its_own(embedded_model: LocalModel, served: Any) -> None:
    ids = prompts(embedded_model)[1]
    rows = ["ann", "__base__", "bob", "ann", "__base__"]
    with torch.inference_mode():
        mixed = served(torch.tensor([list(ids)] * len(rows)), adapter_names=rows).logits[:, -8:]
    network = embedded_model.network.module
    for row, user in zip(mixed, rows, strict=True):
        alone = edited_logits(network, [ids], USERS.get(user))
        assert float((row - alone).abs().max()) < 1e-5 * float(alone.abs().max())


def test_the_network_that_was_lent_stays_as_it_was(embedded_model: LocalModel, served: Any) -> None:
    own = embedded_model.network.module
    assert not [name for name, _ in own.named_modules() if "lora" in name]
    lent = dict(served.get_base_model().named_parameters())["model.embed_tokens.weight"]
    assert lent.data_ptr() == own.model.embed_tokens.weight.data_ptr()


def test_folders_are_named_by_content(embedded_model: LocalModel, tmp_path: Path) -> None:
    network = embedded_model.network.module
    ann, bob, again = (published(USERS[user], network, "peft", tmp_path) for user in ("ann", "bob", "ann"))
    assert ann.folder == again.folder != bob.folder
    assert not again.new
