import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from idiolect.methods.chameleon.rules import addition, constant_reader, two_step
from idiolect.models.edits import LayerEdit
from tests.methods.people import steady

D = 24


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def run(edit: LayerEdit, x: torch.Tensor) -> torch.Tensor:
    return x + (x @ edit.read.T) @ edit.write


@steady
@given(st.integers(0, 10_000), st.floats(0, 2), st.floats(0, 2), st.sampled_from([1.0, -3.0, 0.01]))
def test_two_step_is_the_papers_rule_at_any_scale_and_sign(seed: int, alpha: float, beta: float, scale: float) -> None:
    p, n, x = draw(seed, D), draw(seed + 1, D), draw(seed + 2, 5, D)
    after_first = x + alpha * (x @ p / (p @ p))[:, None] * p
    expected = after_first - beta * (after_first @ n / (n @ n))[:, None] * n
    found = run(two_step(scale * p, -scale * n, alpha=alpha, beta=beta), x)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_two_step_of_parallel_directions_cancels_itself() -> None:
    p, x = draw(0, D), draw(1, 5, D)
    unit = p / p.norm()
    moved = run(two_step(p, p, alpha=1, beta=1), x)
    torch.testing.assert_close(moved @ unit, torch.zeros(5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("p_or_n", [0, 1])
def test_two_step_refuses_a_direction_of_length_zero(p_or_n: int) -> None:
    directions = [draw(0, D), draw(1, D)]
    directions[p_or_n] = torch.zeros(D)
    with pytest.raises(ValueError, match="length 0"):
        two_step(*directions, alpha=1, beta=1)


@pytest.mark.parametrize("m", [D // 2, 40 * D])
def test_constant_reader_reads_nearly_one_and_both_systems_agree(m: int) -> None:
    tokens = 2 + 0.5 * draw(0, 2, m, D)  # (L, m, d)
    reader = constant_reader(tokens, ridge=1e-3)
    read = torch.einsum("lmd,ld->lm", tokens, reader)
    assert abs(float(read.mean()) - 1) < 0.05
    assert float(read.std()) < 0.3
    fresh = 2 + 0.5 * draw(1, 2, 200, D)
    assert abs(float(torch.einsum("lmd,ld->lm", fresh, reader).mean()) - 1) < 0.1


def test_addition_adds_nearly_the_vector_to_every_token() -> None:
    tokens, vector = 2 + 0.3 * draw(0, 1, 600, D), draw(1, D)
    edit = addition(vector, constant_reader(tokens)[0], strength=0.5)
    moved = run(edit, tokens[0]) - tokens[0]
    torch.testing.assert_close(moved.mean(dim=0), 0.5 * vector, atol=0.05, rtol=0.05)
    assert edit.read.shape == (1, D)


def test_constant_reader_needs_tokens() -> None:
    with pytest.raises(ValueError, match="no tokens"):
        constant_reader(torch.empty(2, 0, D))
