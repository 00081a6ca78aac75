from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from idiolect.errors import SettingsError
from idiolect.methods.chameleon.ccs import (
    CcsSettings,
    Centring,
    Scaling,
    ccs_loss,
    centred,
    fit_ccs,
    fit_ccs_from,
    initial_probes,
    scaled,
)
from idiolect.methods.chameleon.directions import rows_by_layer

SHORT = CcsSettings(epochs=60, restarts=3)


def _planted(
    k: int = 16, layers: int = 2, d: int = 64, *, size: float = 1.0, query_size: float = 1.0, side: float = 4.0
) -> tuple[Tensor, Tensor, Tensor]:
    """H_P, H_N (K, L, d) on either side of a hyperplane with normal θ (L, d); rows vary by query, sides by little."""
    draw = torch.Generator().manual_seed(3)
    theta = torch.nn.functional.normalize(torch.randn(layers, d, generator=draw), dim=1)
    query = query_size * torch.randn(k, layers, d, generator=draw)
    query -= (query * theta).sum(dim=2, keepdim=True) * theta
    noise = 0.1 * torch.randn(2, k, layers, d, generator=draw)
    mean = 5 * torch.randn(layers, d, generator=draw)
    return size * (mean + query + side * theta + noise[0]), size * (mean + query - side * theta + noise[1]), theta


def _seen_by_probes(ours: Tensor, theirs: Tensor, settings: CcsSettings) -> Tensor:
    return scaled(centred(*rows_by_layer(ours, theirs), settings.centring), settings.scaling)[0]  # (L, 2K, d)


def _reference(ours: Tensor, theirs: Tensor, probe: Tensor, settings: CcsSettings) -> tuple[Tensor, Tensor]:
    """One probe on one layer by autograd and PyTorch's AdamW, as Burns et al. do: its last loss, and w with b."""
    linear = torch.nn.Linear(ours.shape[1], 1)
    with torch.no_grad():
        linear.weight.copy_(probe[None, :-1])
        linear.bias.copy_(probe[-1:])
    steps = torch.optim.AdamW(linear.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)

    def loss() -> Tensor:
        p, q = linear(ours).sigmoid(), linear(theirs).sigmoid()
        return ((p - (1 - q)) ** 2).mean() + (torch.min(p, q) ** 2).mean()

    for _ in range(settings.epochs):
        steps.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        steps.step()
    return loss().detach(), torch.cat([linear.weight.detach()[0], linear.bias.detach()])


def _cos(first: Tensor, second: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(first, second, dim=-1).abs()


@pytest.mark.parametrize("scaling", get_args(Scaling))
@pytest.mark.parametrize("centring", get_args(Centring))
def test_batched_ccs_equals_one_linear_layer_at_a_time(centring: Centring, scaling: Scaling) -> None:
    ours, theirs, _ = _planted(layers=2, d=24)
    settings = replace(SHORT, centring=centring, scaling=scaling)
    probes = initial_probes(2, 3, 24, torch.Generator().manual_seed(0))
    fit = fit_ccs_from(ours, theirs, settings, probes)
    rows = _seen_by_probes(ours, theirs, settings)
    expected = [[_reference(*rows[lay].chunk(2), probes[lay, r], settings)[0] for r in range(3)] for lay in range(2)]
    torch.testing.assert_close(fit.losses, torch.tensor(expected), atol=2e-6, rtol=2e-5)


def test_normal_of_batched_ccs_equals_that_of_one_linear_layer() -> None:
    ours, theirs, _ = _planted(layers=1, d=24)
    settings = replace(SHORT, restarts=1, epochs=200)
    probes = initial_probes(1, 1, 24, torch.Generator().manual_seed(0))
    rows = _seen_by_probes(ours, theirs, settings)
    _, fitted = _reference(*rows[0].chunk(2), probes[0, 0], settings)
    assert _cos(fit_ccs_from(ours, theirs, settings, probes).theta_n[0], fitted[:-1]) > 1 - 1e-5


def test_loss_equals_its_equation() -> None:
    logits = torch.randn(2, 3, 10, generator=torch.Generator().manual_seed(0))
    p, q = logits[1, 2].sigmoid().tolist()[:5], logits[1, 2].sigmoid().tolist()[5:]
    expected = sum((a - (1 - b)) ** 2 + min(a, b) ** 2 for a, b in zip(p, q, strict=True)) / 5
    assert float(ccs_loss(logits)[1, 2]) == pytest.approx(expected, rel=1e-5)
    assert float(ccs_loss(torch.zeros(4))) == 0.25


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_planted_hyperplane_is_found_where_rows_determine_it(scaling: Scaling) -> None:
    ours, theirs, theta = _planted(k=128, d=16, query_size=2, side=2)
    fit = fit_ccs(ours, theirs, CcsSettings(scaling=scaling, restarts=4), torch.Generator().manual_seed(1))
    assert _cos(fit.theta_n, theta).min() > 0.99
    assert fit.agreement.min() > 0.95
    assert (fit.separation == 1).all()


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_joint_centring_finds_the_signal_that_separate_centring_deletes(scaling: Scaling) -> None:
    ours, theirs, theta = _planted(d=256)  # d ≫ K, as with a model's activations
    draw = torch.Generator().manual_seed(1)
    joint = fit_ccs(ours, theirs, CcsSettings(scaling=scaling, restarts=4), draw)
    separate = fit_ccs(ours, theirs, CcsSettings(centring="separate", scaling=scaling, restarts=4), draw)
    assert joint.agreement.min() > 0.7
    assert _cos(joint.theta_n, theta).min() > 0.7
    assert (joint.separation == 1).all()
    assert separate.agreement.max() < 0.3
    assert _cos(separate.theta_n, theta).max() < 0.2


@pytest.mark.parametrize("size", [1e-3, 1e3])
@pytest.mark.parametrize("scaling", ["layer", "feature"])
def test_scaled_ccs_does_not_depend_on_the_size_of_activations(scaling: Scaling, size: float) -> None:
    settings = replace(SHORT, scaling=scaling)
    plain = fit_ccs(*_planted()[:2], settings, torch.Generator().manual_seed(0))
    scaled = fit_ccs(*_planted(size=size)[:2], settings, torch.Generator().manual_seed(0))
    torch.testing.assert_close(scaled.losses, plain.losses, atol=1e-4, rtol=1e-3)
    assert _cos(scaled.theta_n, plain.theta_n).min() > 0.999


def test_feature_scaling_is_undone_in_the_normal() -> None:
    ours, theirs, _ = _planted()
    stretch = torch.logspace(-1, 1, 64)
    settings = CcsSettings(scaling="feature", epochs=200, restarts=1)
    fit = fit_ccs(ours * stretch, theirs * stretch, settings, torch.Generator().manual_seed(0))
    # ⟨x, θ⟩ = ⟨S x, S⁻¹ θ⟩: the same hyperplane has this normal in stretched coordinates.
    plain = fit_ccs(ours, theirs, settings, torch.Generator().manual_seed(0))
    expected = torch.nn.functional.normalize(plain.theta_n / stretch, dim=1)
    assert _cos(fit.theta_n, expected).min() > 0.999


def test_feature_that_never_varies_has_no_part_in_a_scaled_normal() -> None:
    ours, theirs, _ = _planted()
    ours[..., 5] = theirs[..., 5] = 0.7
    fit = fit_ccs(ours, theirs, replace(SHORT, scaling="feature"), torch.Generator().manual_seed(0))
    assert (fit.theta_n[:, 5] == 0).all()


def test_layers_do_not_influence_each_other() -> None:
    ours, theirs, _ = _planted(layers=3)
    probes = initial_probes(3, 3, 64, torch.Generator().manual_seed(0))
    before = fit_ccs_from(ours, theirs, SHORT, probes)
    ours[:, 0] *= 100
    theirs[:, 2] += 3
    after = fit_ccs_from(ours, theirs, SHORT, probes)
    assert torch.equal(before.losses[1], after.losses[1])
    assert torch.equal(before.theta_n[1], after.theta_n[1])
    alone = fit_ccs_from(ours[:, 1:2], theirs[:, 1:2], SHORT, probes[1:2])
    torch.testing.assert_close(alone.losses[0], before.losses[1], atol=1e-6, rtol=1e-5)


def test_restarts_do_not_influence_each_other() -> None:
    ours, theirs, _ = _planted()
    probes = initial_probes(2, 3, 64, torch.Generator().manual_seed(0))
    before = fit_ccs_from(ours, theirs, SHORT, probes)
    probes[:, 0] += 1
    after = fit_ccs_from(ours, theirs, SHORT, probes)
    assert not torch.equal(before.losses[:, 0], after.losses[:, 0])
    assert torch.equal(before.losses[:, 1:], after.losses[:, 1:])
    alone = fit_ccs_from(ours, theirs, replace(SHORT, restarts=1), probes[:, 1:2])
    torch.testing.assert_close(alone.losses[:, 0], before.losses[:, 1], atol=1e-6, rtol=1e-5)


def test_best_restart_is_that_of_the_lowest_loss() -> None:
    ours, theirs, _ = _planted()
    probes = initial_probes(2, 3, 64, torch.Generator().manual_seed(0))
    kept = probes.clone()
    fit = fit_ccs_from(ours, theirs, SHORT, probes)
    assert torch.equal(probes, kept)
    assert torch.equal(fit.loss, fit.losses.min(dim=1).values)
    for layer, best in enumerate(fit.best.tolist()):
        alone = fit_ccs_from(ours, theirs, replace(SHORT, restarts=1), probes[:, best : best + 1])
        assert _cos(alone.theta_n[layer], fit.theta_n[layer]) > 1 - 1e-5


def test_normal_points_to_the_personalized_side() -> None:
    ours, theirs, theta = _planted()
    for first, second, sign in ((ours, theirs, 1), (theirs, ours, -1)):
        fit = fit_ccs(first, second, SHORT, torch.Generator().manual_seed(0))
        assert (sign * (fit.theta_n * theta).sum(dim=1) > 0).all()


def test_separation_tells_of_pairs_that_are_split_the_wrong_way_round() -> None:
    ours, theirs, _ = _planted(layers=1)
    ours[:4], theirs[:4] = theirs[:4].clone(), ours[:4].clone()
    fit = fit_ccs(ours, theirs, CcsSettings(epochs=500, restarts=2), torch.Generator().manual_seed(0))
    assert fit.separation.tolist() == [0.75]


def test_agreement_of_one_restart_is_one_and_of_several_the_mean_over_pairs() -> None:
    ours, theirs, _ = _planted()
    probes = initial_probes(2, 3, 64, torch.Generator().manual_seed(0))
    single = [fit_ccs_from(ours, theirs, replace(SHORT, restarts=1), probes[:, r : r + 1]) for r in range(3)]
    assert single[0].agreement.tolist() == [1, 1]
    expected = sum(_cos(single[a].theta_n, single[b].theta_n) for a, b in ((0, 1), (0, 2), (1, 2))) / 3
    found = fit_ccs_from(ours, theirs, SHORT, probes).agreement
    torch.testing.assert_close(found, torch.as_tensor(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_fit_of_half_precision_is_that_of_the_same_numbers_in_float32(dtype: torch.dtype) -> None:
    ours, theirs = (rows.to(dtype) for rows in _planted()[:2])
    found = fit_ccs(ours, theirs, SHORT, torch.Generator().manual_seed(0))
    expected = fit_ccs(ours.float(), theirs.float(), SHORT, torch.Generator().manual_seed(0))
    assert torch.equal(found.theta_n, expected.theta_n)
    assert found.theta_n.dtype == found.losses.dtype == torch.float32


def test_fit_is_seeded_and_a_layers_probes_do_not_depend_on_how_many_follow() -> None:
    assert torch.equal(*(fit_ccs(*_planted()[:2], SHORT, torch.Generator().manual_seed(7)).theta_n for _ in range(2)))
    many = initial_probes(5, 3, 64, torch.Generator().manual_seed(7))
    few = initial_probes(2, 3, 64, torch.Generator().manual_seed(7))
    assert torch.equal(many[:2], few)
    assert few.abs().max() <= 1 / 8


def test_single_pair_is_enough_for_joint_centring() -> None:
    ours, theirs, _ = _planted(k=1)
    fit = fit_ccs(ours, theirs, CcsSettings(epochs=300, restarts=2), torch.Generator().manual_seed(0))
    assert fit.theta_n.isfinite().all()
    assert (fit.separation == 1).all()


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_fit_refuses_a_single_pair_centred_separately(scaling: Scaling) -> None:
    ours, theirs, _ = _planted(k=1)
    settings = CcsSettings(centring="separate", scaling=scaling, epochs=20, restarts=2)
    with pytest.raises(ValueError, match=r"centring leaves nothing in layers \[0, 1\]"):
        fit_ccs(ours, theirs, settings, torch.Generator().manual_seed(0))


def test_fit_refuses_equal_sides_and_names_the_layer() -> None:
    ours, theirs, _ = _planted()
    theirs[:, 1] = ours[:, 1]
    with pytest.raises(ValueError, match=r"sides are equal in layers \[1\]"):
        fit_ccs(ours, theirs, SHORT, torch.Generator())


def test_fit_refuses_a_loss_that_is_not_finite() -> None:
    ours, theirs, _ = _planted()
    probes = initial_probes(2, 3, 64, torch.Generator().manual_seed(0))
    probes[1, 2, 0] = torch.nan
    with pytest.raises(ValueError, match=r"not finite in layers \[1\]"):
        fit_ccs_from(ours, theirs, SHORT, probes)


def test_fit_refuses_activations_that_are_not_finite_and_probes_of_another_shape() -> None:
    ours, theirs, _ = _planted()
    with pytest.raises(ValueError, match=r"probes are \(2, 4, 65\)"):
        fit_ccs_from(ours, theirs, SHORT, initial_probes(2, 4, 64, torch.Generator()))
    ours[0, 0, 0] = torch.inf
    with pytest.raises(ValueError, match=r"personalized activations are not finite in layers \[0\]"):
        fit_ccs(ours, theirs, SHORT, torch.Generator())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("centring", "both"),
        ("scaling", "std"),
        ("epochs", 0),
        ("restarts", 0),
        ("learning_rate", 0.0),
        ("weight_decay", -0.1),
    ],
)
def test_settings_refuse_what_makes_no_sense(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=name):
        CcsSettings(**{name: value})  # type: ignore[arg-type]
