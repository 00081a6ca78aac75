from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from idiolect.methods.chameleon.layer_choice import (
    choose_layers,
    elbow,
    held_out_margin,
    held_out_share,
    ranked_layers,
)


def _of(*numbers: float) -> Tensor:
    return torch.tensor(numbers)


def test_lowest_losses_are_chosen_in_ascending_order_whatever_the_margin() -> None:
    loss, margin = _of(0.2, 0.05, 0.1, 0.0), _of(1, -1, 0, -1)
    assert choose_layers(loss, margin, 2) == (1, 3)
    assert ranked_layers(loss, margin) == (3, 1, 2, 0)
    assert choose_layers(loss, margin, "all") == (0, 1, 2, 3)


def test_losses_within_the_tolerance_are_ties_broken_by_the_held_out_margin() -> None:
    loss, margin = _of(0.0, 0.004, 0.009, 0.2), _of(-0.1, 0.1, 0.5, 0.9)
    assert ranked_layers(loss, margin, tolerance=0.01) == (2, 1, 0, 3)
    assert ranked_layers(loss, margin, tolerance=0.005) == (1, 0, 2, 3)
    assert ranked_layers(loss, margin, tolerance=0) == (0, 1, 2, 3)


def test_what_still_ties_goes_to_the_lower_layer() -> None:
    assert ranked_layers(_of(0, 0, 0), _of(0.3, 0.5, 0.5)) == (1, 2, 0)


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(-1, 1, width=32)), min_size=1, max_size=12), st.data())
def test_choice_is_n_different_layers_and_none_left_out_is_clearly_better(
    both: list[tuple[float, float]], data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, len(both)))
    loss, margin = (torch.tensor(side) for side in zip(*both, strict=True))
    chosen = choose_layers(loss, margin, n, tolerance=0.01)
    assert len(set(chosen)) == n
    assert list(chosen) == sorted(chosen)
    left = set(range(len(both))) - set(chosen)
    worst = max(float(loss[layer]) for layer in chosen)
    assert all(float(loss[layer]) >= worst - 0.01 - 1e-6 for layer in left)


@pytest.mark.parametrize("n", [0, 3, -1])
def test_choice_refuses_a_number_out_of_range(n: int) -> None:
    with pytest.raises(ValueError, match=f"n is {n}, must be 1 to 2"):
        choose_layers(_of(0, 1), _of(0, 1), n)


@pytest.mark.parametrize(
    ("loss", "margin", "message"),
    [
        (_of(0, 1), _of(0), "must be"),
        (_of(), _of(), "must be"),
        (_of(0, torch.nan), _of(0, 0), "not finite"),
        (_of(0, 0), _of(0, torch.inf), "not finite"),
    ],
)
def test_choice_refuses_other_shapes_and_what_is_not_finite(loss: Tensor, margin: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_layers(loss, margin, 1)


@pytest.mark.parametrize(
    ("losses", "n"),
    [
        ((0.0, 0.0, 0.0, 0.9, 1.0), 2),  # jumps 0, 0, 0.225: the layer just before the jump is left out
        ((0.9, 0.0, 0.0, 1.0, 0.0), 2),  # the order of the layers is no matter
        ((0.0, 0.0, 0.0, 0.0, 8.0), 1),  # the highest loss never counts
        ((0.0, 1.0, 1.0, 1.0, 1.0, 1.0), 1),  # the ancestor edits none
        ((0.0, 0.25, 0.5, 0.75, 1.0, 1.25), 1),  # of equal jumps, the first
        ((0.1,) * 30, 1),
        ((0.3,), 1),
        ((0.3, 0.1), 1),
        ((0.3, 0.1, 0.2), 1),
    ],
)
def test_elbow_is_before_the_largest_jump_of_the_running_mean(losses: tuple[float, ...], n: int) -> None:
    assert elbow(_of(*losses)) == n
    assert len(choose_layers(_of(*losses), torch.zeros(len(losses)), "elbow")) == n


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=40))
def test_elbow_is_that_of_the_ancestors_procedure_but_never_no_layer(losses: list[float]) -> None:
    ascending = np.sort(np.array(losses))
    means = [np.mean(ascending[:i]) for i in range(1, len(ascending))]
    jumps = np.diff(means)
    found = elbow(torch.tensor(losses))
    assert 1 <= found <= max(len(losses) - 3, 1)
    largest = np.flatnonzero(jumps >= jumps.max() - 1e-12)
    assert found in largest or (found == 1 and 0 in largest)


def test_by_the_elbow_losses_decide_and_the_margin_only_between_equal_ones() -> None:
    loss, margin = _of(0.004, 0.001, 0.001, 0.001, 0.9, 1.0), _of(1, 0, -1, 0.5, 0, 0)
    assert elbow(loss) == 3
    assert choose_layers(loss, margin, "elbow") == (1, 2, 3)
    assert choose_layers(loss, margin, 3) == (0, 1, 3)  # within the tolerance, the margin decides
    steep = _of(0.001, 0.001, 0.9, 0.001, 1.0)
    assert choose_layers(steep, _of(0, 0.5, 0, 1, 0), "elbow") == (1, 3)


def test_choice_refuses_a_negative_tolerance() -> None:
    with pytest.raises(ValueError, match="tolerance is -1"):
        choose_layers(_of(0), _of(0), 1, tolerance=-1)


def test_margin_and_share_count_pairs_on_the_right_side_at_any_scale() -> None:
    theta = torch.tensor([[1.0, 0.0], [0.0, 1.0]])  # (L, d)
    theirs = torch.ones(3, 2, 2)
    contrast = torch.tensor([[[3.0, 4.0], [0.0, 2.0]], [[5.0, 0.0], [0.0, 2.0]], [[-1.0, 0.0], [0.0, 0.0]]])
    for scale in (1.0, 1e-2):
        ours = theirs + scale * contrast
        torch.testing.assert_close(held_out_margin(theta, ours, theirs), _of(0.2, 2 / 3), atol=1e-4, rtol=0)
        torch.testing.assert_close(held_out_share(theta, ours, theirs), _of(2 / 3, 2 / 3))


def test_margin_refuses_directions_of_another_width() -> None:
    with pytest.raises(ValueError, match=r"must be \(2, 2\)"):
        held_out_margin(torch.ones(2, 3), torch.ones(3, 2, 2), torch.zeros(3, 2, 2))
