"""Fingerprints with kept digests of weights: the same as without, never those of other weights."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from idiolect.models import fingerprint as module
from idiolect.models.fingerprint import state_of
from idiolect.models.local import LocalModel, LocalSettings, load_local_model
from tests.models import tiny


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model; the cache folder is below it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "model"
    tiny.llama().save_pretrained(place)
    tiny.tokenizer().save_pretrained(place)
    return place


def _hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the weights that are hashed."""
    hashed: list[int] = []
    digest = module._digest

    def counting(tensor: torch.Tensor) -> bytes:
        hashed.append(tensor.numel())
        return digest(tensor)

    monkeypatch.setattr(module, "_digest", counting)
    return hashed


def test_a_second_process_hashes_nothing_and_finds_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = _hashed(monkeypatch)
    first = load_local_model(str(folder), device="cpu")
    printed = first.fingerprint()
    n = len(hashed)
    assert n == len(first.network.module.state_dict())
    assert load_local_model(str(folder), device="cpu").fingerprint() == printed
    assert len(hashed) == n
    assert LocalModel(first.network.module, first.tokenizer, name="own").fingerprint() == printed
    assert len(hashed) == 2 * n  # of a model that was not read from files, nothing is kept


def test_other_files_have_other_digests(folder: Path) -> None:
    before = load_local_model(str(folder), device="cpu").fingerprint()
    network = copy.deepcopy(tiny.llama())
    with torch.no_grad():
        network.lm_head.weight[0, 0] += 1
    network.save_pretrained(folder)
    assert load_local_model(str(folder), device="cpu").fingerprint() != before


@pytest.mark.parametrize(
    "change",
    [lambda weight: weight.mul_(1.01), lambda weight: weight[7].mul_(3), lambda weight: weight[5, 3].add_(1e-3)],
)
def test_weights_changed_in_memory_are_hashed_again(folder: Path, change: Callable[[torch.Tensor], object]) -> None:
    model = load_local_model(str(folder), device="cpu")
    before = model.fingerprint()
    with torch.no_grad():
        change(model.network.module.lm_head.weight)
    after = model.fingerprint()
    assert after != before
    assert after == LocalModel(model.network.module, model.tokenizer, name="own").fingerprint()


@pytest.mark.parametrize("damage", [b"", b"x" * 63, b"x" * 6400])
def test_a_damaged_file_is_not_believed(folder: Path, tmp_path: Path, damage: bytes) -> None:
    before = load_local_model(str(folder), device="cpu").fingerprint()
    (kept,) = (tmp_path / "cache").rglob("*.blake2b")
    kept.write_bytes(damage)
    assert load_local_model(str(folder), device="cpu").fingerprint() == before
    assert kept.read_bytes() != damage


def test_a_cache_folder_that_cannot_be_written_costs_time_only(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert load_local_model(str(folder), device="cpu").fingerprint()


def test_the_state_of_files_is_their_time_and_size_too(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"abc")
    before = state_of([file], torch.float32)
    assert state_of([file], torch.float32) == before
    assert state_of([file], torch.bfloat16) != before
    os.utime(file, ns=(1, 1))
    assert state_of([file], torch.float32) != before


def test_a_copy_that_scores_is_part_of_the_fingerprint() -> None:
    one, other = (tiny.local_model(settings=LocalSettings(scoring_dtype=dtype)) for dtype in (None, "bfloat16"))
    same = tiny.local_model(settings=LocalSettings(scoring_dtype="float32"))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
