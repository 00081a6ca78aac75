from __future__ import annotations

import pytest
import torch

from idiolect.errors import ModelError
from idiolect.models.edits import Edit, LayerEdit
from tests.models import tiny


def layer(rank: int = 2, width: int = 4) -> LayerEdit:
    return LayerEdit(torch.ones(rank, width), torch.ones(rank, width))


def test_edits_are_equal_where_they_do_the_same() -> None:
    some, same = tiny.edit(1, layers=(0, 2)), tiny.edit(1, layers=(0, 2))
    assert some == same
    assert hash(some) == hash(same)
    turned = Edit(dict(reversed(list(some.layers.items()))))
    assert turned == some
    assert list(turned.layers) == [0, 2]


def test_an_edit_differs_by_everything_that_it_does() -> None:
    some = tiny.edit(1)
    others = [
        tiny.edit(2),
        tiny.edit(1, layers=(0, 1)),
        tiny.edit(1, layers=(0, 1, 3)),
        tiny.edit(1, positions="generated"),
        tiny.edit(1, gate="positive"),
        some.scaled(0.5),
    ]
    assert len({some.digest, *(other.digest for other in others)}) == 7
    assert some != "an edit"


def test_an_edit_is_a_copy_in_float32() -> None:
    read, write = torch.ones(2, 4, dtype=torch.float64), torch.ones(2, 4)
    edit = Edit({0: LayerEdit(read, write)})
    read += 1
    write += 1
    assert edit == Edit({0: layer()})
    assert edit.layers[0].read.dtype == torch.float32
    assert bool((edit.layers[0].write == 1).all())


def test_scaled_scales_what_is_written() -> None:
    half = tiny.edit(1, gate="positive", positions="generated").scaled(0.5)
    whole = tiny.edit(1)
    assert torch.equal(half.layers[1].write, 0.5 * whole.layers[1].write)
    assert torch.equal(half.layers[1].read, whole.layers[1].read)
    assert (half.gate, half.positions) == ("positive", "generated")


def test_rank_and_width_are_told() -> None:
    edit = Edit({3: layer(1), 1: layer(5)})
    assert (edit.rank, edit.width) == (5, 4)


@pytest.mark.parametrize(
    ("read", "write"), [((2, 4), (2, 5)), ((4,), (4,)), ((0, 4), (0, 4))], ids=["unequal", "flat", "empty"]
)
def test_wrong_shapes_are_refused(read: tuple[int, ...], write: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(r, d\)"):
        LayerEdit(torch.ones(read), torch.ones(write))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="write contains a value that is not finite"):
        LayerEdit(torch.ones(1, 2), torch.tensor([[1.0, value]]))


def test_layers_are_checked() -> None:
    with pytest.raises(ValueError, match="one or more"):
        Edit({})
    with pytest.raises(ValueError, match="from 0"):
        Edit({-1: layer()})
    with pytest.raises(ValueError, match="differ in width"):
        Edit({0: layer(), 1: layer(width=5)})


def test_an_edit_for_another_shape_of_model_says_so() -> None:
    edit = Edit({3: layer()})
    edit.check_fits(n_layers=4, width=4)
    with pytest.raises(ModelError, match="layer 3 and width 4; the model has 3 layers of width 4"):
        edit.check_fits(n_layers=3, width=4)
    with pytest.raises(ModelError, match="width 5"):
        edit.check_fits(n_layers=4, width=5)
