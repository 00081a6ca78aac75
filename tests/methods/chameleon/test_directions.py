from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from idiolect.methods.chameleon.directions import Estimator, oriented, orthogonalize, personal_direction

ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)


def _unit(*shape: int, seed: int) -> Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=-1)


def _planted(k: int = 32, layers: int = 3, d: int = 48, *, shared: float = 20.0) -> tuple[Tensor, Tensor, Tensor]:
    """H_P, H_N (K, L, d) whose difference is mostly 2 θ (L, d), under a mean activation that all rows share."""
    draw = torch.Generator().manual_seed(5)
    theta, mean = _unit(layers, d, seed=1), shared * _unit(layers, d, seed=2)
    query = torch.randn(k, layers, d, generator=draw)
    noise = 0.02 * torch.randn(2, k, layers, d, generator=draw)
    return mean + query + theta + noise[0], mean + query - theta + noise[1], theta


def _cos(first: Tensor, second: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(first, second, dim=-1).abs()


@pytest.mark.parametrize("estimator", ["svd_difference", "mean_difference"])
def test_contrastive_estimators_find_the_planted_direction(estimator: Estimator) -> None:
    ours, theirs, theta = _planted()
    found = personal_direction(ours, theirs, estimator)
    assert _cos(found, theta).min() > 0.99
    assert ((found * theta).sum(dim=1) > 0).all()


def test_uncentred_svd_finds_the_mean_and_not_the_planted_direction() -> None:
    ours, theirs, theta = _planted()
    found = personal_direction(ours, theirs, "svd")
    assert _cos(found, ours.mean(dim=0)).min() > 0.98
    assert _cos(found, theta).max() < 0.5


def test_centred_svd_finds_what_varies_most_between_a_persons_own_rows() -> None:
    ours, theirs, _ = _planted()
    varied = _unit(3, 48, seed=9)
    along = torch.randn(32, 1, 1, generator=torch.Generator().manual_seed(4))
    found = personal_direction(ours + 40 * along * varied, theirs, "svd_centred")
    assert _cos(found, varied).min() > 0.99


@pytest.mark.parametrize("k", [2, 7, 48, 90])
@pytest.mark.parametrize("estimator", ["svd", "svd_centred", "svd_difference"])
def test_first_singular_vector_equals_that_of_a_full_svd(estimator: Estimator, k: int) -> None:
    ours, theirs, _ = _planted(k=k)
    rows = {"svd": ours, "svd_centred": ours - ours.mean(dim=0), "svd_difference": ours - theirs}[estimator]
    expected = torch.linalg.svd(rows.transpose(0, 1).double(), full_matrices=False).Vh[:, 0]
    found = personal_direction(ours, theirs, estimator)
    torch.testing.assert_close(oriented(found, expected.float()), expected.float(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_direction_is_a_float32_unit_vector_on_the_side_of_its_rows(estimator: Estimator) -> None:
    ours, theirs, _ = _planted()
    found = personal_direction(ours, theirs, estimator)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    of = ours - theirs if estimator.endswith("difference") else ours
    assert ((found * of.mean(dim=0)).sum(dim=1) > 0).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_direction_of_half_precision_is_that_of_the_same_numbers_in_float32(
    estimator: Estimator, dtype: torch.dtype
) -> None:
    ours, theirs, _ = (rows.to(dtype) for rows in _planted())
    found = personal_direction(ours, theirs, estimator)
    assert torch.equal(found, personal_direction(ours.float(), theirs.float(), estimator))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_direction_of_a_layer_does_not_depend_on_the_others(estimator: Estimator) -> None:
    ours, theirs, _ = _planted()
    together = personal_direction(ours, theirs, estimator)
    alone = personal_direction(ours[:, 1:2], theirs[:, 1:2], estimator)
    torch.testing.assert_close(together[1:2], alone, atol=1e-6, rtol=0)


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(1e-3, 1e3), order=st.permutations(range(8)), estimator=st.sampled_from(ESTIMATORS))
def test_direction_depends_on_neither_scale_nor_order(scale: float, order: list[int], estimator: Estimator) -> None:
    ours, theirs, _ = _planted(k=8, d=12)
    plain = personal_direction(ours, theirs, estimator)
    changed = personal_direction(scale * ours[order], scale * theirs[order], estimator)
    torch.testing.assert_close(changed, plain, atol=1e-4, rtol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", [0, 1])
def test_direction_refuses_what_is_not_finite_and_names_the_layer(bad: float, side: int) -> None:
    both = _planted()[:2]
    both[side][3, 2, 7] = bad
    with pytest.raises(ValueError, match=r"not finite in layers \[2\]"):
        personal_direction(*both)


@pytest.mark.parametrize(
    ("estimator", "ours", "theirs"),
    [
        ("svd", torch.zeros(4, 2, 6), torch.ones(4, 2, 6)),
        ("svd_centred", torch.arange(12.0).view(1, 2, 6).repeat(4, 1, 1), torch.ones(4, 2, 6)),
        ("svd_centred", torch.rand(1, 2, 6), torch.ones(1, 2, 6)),
        ("svd_difference", torch.full((4, 2, 6), 0.3), torch.full((4, 2, 6), 0.3)),
        ("mean_difference", torch.tensor([1.0, -1.0]).view(2, 1, 1).expand(2, 2, 6), torch.zeros(2, 2, 6)),
    ],
)
def test_direction_refuses_rows_without_one_and_names_the_layers(
    estimator: Estimator, ours: Tensor, theirs: Tensor
) -> None:
    some = torch.randn(len(ours), 1, 6, generator=torch.Generator().manual_seed(0))
    if len(ours) == 1:
        some = some[:, :0]
    expected = [some.shape[1], some.shape[1] + 1]
    ours, theirs = torch.cat([some, ours], dim=1), torch.cat([-some, theirs], dim=1)
    with pytest.raises(ValueError, match="no direction by") as refused:
        personal_direction(ours, theirs, estimator)
    assert str(expected) in str(refused.value)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (torch.ones(0, 2, 6), torch.ones(0, 2, 6)),
        (torch.ones(4, 2, 6), torch.ones(5, 2, 6)),
        (torch.ones(4, 6), torch.ones(4, 6)),
        (torch.ones(4, 2, 6, dtype=torch.int64), torch.ones(4, 2, 6, dtype=torch.int64)),
    ],
)
def test_direction_refuses_other_shapes_and_types(ours: Tensor, theirs: Tensor) -> None:
    with pytest.raises(ValueError, match="activations are"):
        personal_direction(ours, theirs)


def test_direction_refuses_an_unknown_estimator() -> None:
    ours, theirs, _ = _planted()
    with pytest.raises(ValueError, match="estimator is 'pca'"):
        personal_direction(ours, theirs, "pca")  # type: ignore[arg-type]


def test_orthogonalized_directions_are_units_at_right_angles_in_the_same_plane() -> None:
    theta, against = _unit(4, 30, seed=1), 7 * _unit(4, 30, seed=2)
    theta[0] = torch.nn.functional.normalize(against[0] + 0.01 * theta[0], dim=0)  # nearly parallel
    found = orthogonalize(theta, against=against)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    assert _cos(found, against).max() < 1e-6
    plane = torch.stack([theta, against / 7, found], dim=1)  # (L, 3, d)
    assert torch.linalg.svdvals(plane.double())[:, 2].max() < 1e-5


def test_orthogonalize_refuses_parallel_directions_and_names_the_layer() -> None:
    theta, against = _unit(3, 30, seed=1), _unit(3, 30, seed=2)
    theta[1] = -2 * against[1]
    with pytest.raises(ValueError, match=r"parallel direction in layers \[1\]"):
        orthogonalize(theta, against=against)


def test_orthogonalize_refuses_no_direction_and_other_shapes() -> None:
    with pytest.raises(ValueError, match="nothing to orthogonalize against"):
        orthogonalize(torch.ones(2, 3), against=torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"both must be \(L, d\)"):
        orthogonalize(torch.ones(2, 3), against=torch.ones(2, 4))


def test_oriented_points_towards_and_on_a_tie_has_its_largest_coordinate_positive() -> None:
    theta = torch.tensor([[1.0, -2.0], [1.0, -2.0], [1.0, -2.0]])
    towards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]])
    assert oriented(theta, towards).tolist() == [[1, -2], [-1, 2], [-1, 2]]
