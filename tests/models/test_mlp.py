from __future__ import annotations

import pytest
from torch import nn

from idiolect.errors import ModelError
from idiolect.models.mlp import mlp_ends
from tests.models import tiny


def test_every_layer_ends_at_its_down_projection() -> None:
    ends = mlp_ends(tiny.llama())
    assert [end.layer for end in ends] == [0, 1, 2]
    for end, layer in zip(ends, tiny.llama().model.layers, strict=True):
        assert end.module is end.down is layer.mlp.down_proj


class Unknown(nn.Module):
    """Layers that are not where they are looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(2, 2)])


class NoDown(nn.Module):
    """Layers in their place, with nothing known in them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2)])

    def get_decoder(self) -> nn.Module:
        return self


def test_an_unknown_family_says_what_is_missing() -> None:
    with pytest.raises(ModelError, match="Unknown: no decoder layers found"):
        mlp_ends(Unknown())
    with pytest.raises(ModelError, match=r"NoDown: layer 0 has no mlp\.down_proj"):
        mlp_ends(NoDown())
