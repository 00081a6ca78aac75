"""CHAMELEON's directions of all layers at once, against the same estimator looped layer by layer, restart by restart.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/chameleon_fit.py --out docs/results/chameleon-fit.md
    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/chameleon_fit.py --rounds 1 --all       # every cell, ~15 min a K

A round times `fit_ccs_from` on all layers and restarts, then the rival on some of the (layer, restart) cells, others in
each round; its time for all is that of a cell times their number, and a ratio is of one round's two times. Seconds are
of the process's CPU, since others may use the core at the same time: wall seconds of an idle core where there is one
thread. The rival is what public implementations of CCS do: `nn.Linear` and a sigmoid, autograd, `torch.optim.AdamW`,
one probe at a time. Both start from the same probes and take as many epochs; the rival is handed rows that are centred
and scaled already, which ours has to do within its time. Losses are compared on every cell that the rival ran.

Activations are drawn: a mean that all rows share, 20 times longer than the rest, queries that both sides share, and a
planted direction, with features of very unequal size. Time depends on their values in nothing but rounding.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from idiolect.methods.chameleon.ccs import CcsSettings, centred, fit_ccs_from, initial_probes, scaled
from idiolect.methods.chameleon.directions import Estimator, personal_direction, rows_by_layer
from idiolect.methods.chameleon.layer_choice import choose_layers, held_out_margin

Cell = tuple[int, int]  # layer, restart


@dataclass(frozen=True)
class Round:
    """CPU seconds of one round, and how far its losses are apart.

    Args:
        wall: wall seconds of CCS of all layers and restarts.
        batched: CCS of all layers and restarts; everything: the same with θ_P, held-out margins and layer choice.
        cell: of the rival, one cell, the mean of this round's.
        ratio: the rival's for all cells by the batched one's.
        losses: of the rival; differences: absolute, from the batched ones.
    """

    wall: float
    batched: float
    everything: float
    cell: float
    ratio: float
    losses: tuple[float, ...]
    differences: tuple[float, ...]


def drawn_activations(pairs: int, layers: int, width: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """H_P and H_N, (K, L, d)."""
    size = torch.randn(layers, width, generator=draw).exp()  # of features: log-normal
    theta = torch.randn(layers, width, generator=draw)
    mean = 20 * torch.randn(layers, width, generator=draw)
    query = torch.randn(pairs, layers, width, generator=draw)
    noise = 0.5 * torch.randn(2, pairs, layers, width, generator=draw)
    return size * (mean + query + 0.3 * theta + noise[0]), size * (mean + query - 0.3 * theta + noise[1])


def looped(rows: Tensor, probe: Tensor, settings: CcsSettings) -> float:
    """The rival: one probe (d + 1,) on one layer's rows (2K, d); its loss after the last step."""
    ours, theirs = rows.chunk(2)
    linear = torch.nn.Linear(rows.shape[1], 1)
    with torch.no_grad():
        linear.weight.copy_(probe[None, :-1])
        linear.bias.copy_(probe[-1:])
    network = torch.nn.Sequential(linear, torch.nn.Sigmoid())
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)

    def loss() -> Tensor:
        p, q = network(ours), network(theirs)
        return torch.add(((p - (1 - q)) ** 2).mean(0), (torch.min(p, q) ** 2).mean(0))

    for _ in range(settings.epochs):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(loss().detach())


def rounds_of(pairs: int, arguments: argparse.Namespace, settings: CcsSettings) -> Iterator[Round]:
    """Each with cells of its own, so that all rounds together cover as much of the grid as they can."""
    draw = torch.Generator().manual_seed(arguments.seed)
    ours, theirs = drawn_activations(pairs + 8, arguments.layers, arguments.width, draw)
    held_out = ours[pairs:], theirs[pairs:]
    ours, theirs = ours[:pairs], theirs[:pairs]
    probes = initial_probes(arguments.layers, settings.restarts, arguments.width, draw)
    rows, _ = scaled(centred(*rows_by_layer(ours, theirs), settings.centring), settings.scaling)
    n_cells = arguments.layers * settings.restarts
    order = torch.randperm(n_cells, generator=draw).tolist()
    cells: list[Cell] = [divmod(index, settings.restarts) for index in order]
    a_round = n_cells if arguments.all else min(arguments.cells, n_cells)
    looped(rows[0], probes[0, 0], replace(settings, epochs=2))  # what PyTorch imports on its first step is no cost
    for number in range(arguments.rounds):
        on_the_wall, started = time.perf_counter(), time.process_time()
        fit = fit_ccs_from(ours, theirs, settings, probes)
        wall, batched = time.perf_counter() - on_the_wall, time.process_time() - started
        personal_direction(ours, theirs, "svd")
        choose_layers(fit.loss, held_out_margin(fit.theta_n, *held_out), "all")
        everything = time.process_time() - started

        chosen = [cells[(number * a_round + at) % n_cells] for at in range(a_round)]
        started = time.process_time()
        losses = [looped(rows[layer], probes[layer, restart], settings) for layer, restart in chosen]
        cell = (time.process_time() - started) / a_round
        differences = tuple(abs(float(fit.losses[at]) - loss) for at, loss in zip(chosen, losses, strict=True))
        yield Round(wall, batched, everything, cell, cell * n_cells / batched, tuple(losses), differences)


def direction_rows(pairs: int, arguments: argparse.Namespace) -> Iterator[str]:
    """θ_P of all layers by each estimator, beside `torch.linalg.svd` layer by layer: CPU seconds."""
    ours, theirs = drawn_activations(
        pairs, arguments.layers, arguments.width, torch.Generator().manual_seed(arguments.seed)
    )
    for estimator in get_args(Estimator):
        seconds = []
        for _ in range(5):
            started = time.process_time()
            personal_direction(ours, theirs, estimator)
            seconds.append(time.process_time() - started)
        yield f"| {pairs} | `{estimator}` | {_spread(seconds, 3)} |"
    seconds, worst = [], 0.0
    found = personal_direction(ours, theirs, "svd")
    for _ in range(5):
        started = time.process_time()
        full = torch.stack([torch.linalg.svd(ours[:, at], full_matrices=False).Vh[0] for at in range(ours.shape[1])])
        seconds.append(time.process_time() - started)
        worst = max(worst, float(torch.minimum((full - found).norm(dim=1), (full + found).norm(dim=1)).max()))
    yield f"| {pairs} | `torch.linalg.svd` a layer; furthest from `svd` above: {worst:.1e} | {_spread(seconds, 3)} |"


def _spread(numbers: Sequence[float], digits: int) -> str:
    ordered = sorted(numbers)
    return f"{statistics.median(ordered):,.{digits}f} ({ordered[0]:,.{digits}f}-{ordered[-1]:,.{digits}f})"


def report(arguments: argparse.Namespace, settings: CcsSettings) -> str:
    """The page."""
    n_cells = arguments.layers * settings.restarts
    lines = [
        "# CHAMELEON's directions: all layers and restarts at once, against a loop",
        "",
        f"    {arguments.command}",
        "",
        f"{arguments.layers} layers × {settings.restarts} restarts = {n_cells} probes, d = {arguments.width}, "
        f"{settings.epochs:,} epochs, float32, {torch.get_num_threads()} thread(s), torch {torch.__version__}, Python "
        f"{platform.python_version()}. Times are CPU seconds of the process, or wall seconds where stated (other work "
        f"used the core too). n = {arguments.rounds} rounds, each with looped probes of its own; median "
        "(minimum-maximum).",
        "The loop over all probes runs only with --all; otherwise it is the mean of a round's looped probes times "
        f"{n_cells}.",
        "",
        "| K | CCS of all probes, s | wall s | one looped probe, s | looped probes run | loop of all / all at once | "
        "largest difference of a loss | looped losses | with θ_P and layer choice, s |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for pairs in arguments.pairs:
        done = []
        for one in rounds_of(pairs, arguments, settings):
            print(f"K = {pairs}: {one.batched:.2f} s, a looped probe {one.cell:.2f} s, × {one.ratio:.0f}", flush=True)
            done.append(one)
        losses = [loss for one in done for loss in one.losses]
        lines.append(
            f"| {pairs} | {_spread([one.batched for one in done], 2)} | {_spread([one.wall for one in done], 1)} | "
            f"{_spread([one.cell for one in done], 2)} | "
            f"{min(len(losses), n_cells)} of {n_cells} | **{_spread([one.ratio for one in done], 0)}** | "
            f"{max(gap for one in done for gap in one.differences):.1e} | {min(losses):.1e}-{max(losses):.1e} | "
            f"{_spread([one.everything for one in done], 2)} |"
        )
    lines += ["", "θ_P of all layers, 5 times each:", "", "| K | estimator | s |", "|--:|---|--:|"]
    for pairs in arguments.pairs:
        lines += direction_rows(pairs, arguments)
    return "\n".join(lines) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--pairs", type=int, nargs="+", default=[16, 200], help="K, one or more")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cells", type=int, default=4, help="(layer, restart) cells that the rival runs a round")
    parser.add_argument("--all", action="store_true", help="the rival runs all cells, each round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where the page goes; it is printed anyway")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    cores = "0" if arguments.threads == 1 else f"0-{arguments.threads - 1}"
    arguments.command = (
        f"OMP_NUM_THREADS={arguments.threads} taskset -c {cores} python benchmarks/chameleon_fit.py --pairs "
        f"{' '.join(map(str, arguments.pairs))} --rounds {arguments.rounds} "
        + ("--all" if arguments.all else f"--cells {arguments.cells}")
    )
    page = report(arguments, CcsSettings(restarts=arguments.restarts, epochs=arguments.epochs))
    print(page)
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
