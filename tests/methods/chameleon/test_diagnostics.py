from __future__ import annotations

import pytest
import torch

from idiolect.methods.chameleon.diagnostics import cosine_sizes, cosine_with_mean, edit_size


def test_cosine_sizes_know_neither_sign_nor_length() -> None:
    first = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    second = torch.tensor([[-5.0, 0.0], [3.0, 0.0], [1.0, 1.0]])
    torch.testing.assert_close(cosine_sizes(first, second), torch.tensor([1, 0, 0.5**0.5]))


def test_cosine_with_mean_is_that_of_the_mean_row() -> None:
    activations = torch.tensor([[[2.0, 1.0]], [[2.0, -1.0]]])
    assert cosine_with_mean(torch.tensor([[7.0, 0.0]]), activations).tolist() == [1]


def test_edit_size_is_the_mean_of_what_tokens_move_by() -> None:
    tokens = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    unit = torch.tensor([[1.0, 0.0]])
    assert edit_size(tokens, unit, 0.5 * unit) == pytest.approx(1 / 3)
    assert edit_size(tokens, unit, 0.5 * unit, gate="positive") == pytest.approx(1 / 6)


def test_edit_size_of_two_reads_adds_their_moves() -> None:
    tokens = torch.tensor([[3.0, 4.0]])
    assert edit_size(tokens, torch.eye(2), -torch.eye(2)) == pytest.approx(1)


def test_diagnostics_refuse_what_has_no_direction() -> None:
    with pytest.raises(ValueError, match="length 0 or is not finite"):
        cosine_sizes(torch.zeros(1, 2), torch.ones(1, 2))
    with pytest.raises(ValueError, match="length 0 or is not finite"):
        cosine_sizes(torch.full((1, 2), torch.nan), torch.ones(1, 2))
    with pytest.raises(ValueError, match="finite length above 0"):
        edit_size(torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2))


def test_diagnostics_refuse_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"both must be \(L, d\)"):
        cosine_sizes(torch.ones(1, 2), torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"must be \(K, L, d\)"):
        cosine_with_mean(torch.ones(1, 2), torch.ones(1, 2))
    with pytest.raises(ValueError, match="tokens are"):
        edit_size(torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 3))
