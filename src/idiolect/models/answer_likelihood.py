"""The log-likelihood of answers as a tensor with a gradient; between token ids and `edit_training`.

    one answer            (1/n) Σ_k log p(c_k | x, c_1 … c_{k−1})                      a text, in nat per token
    one of some choices   log p(c | x) − log Σ_c' p(c' | x)                            an answer to a question, in nat

Several targets go through the network as one packed sequence (`packing`): a prompt that they share is computed once,
and nothing is padded. Networks that cannot be packed get one padded row per answer instead, with the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from idiolect.models.network import Network
from idiolect.models.output_head import token_logprobs
from idiolect.models.packing import Layout, TokenTrie

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """An answer whose likelihood is computed.

    Args:
        prompt: token ids of the chat before the answer; at least one.
        choices: token ids of the answer, or of every choice; at least one token each.
        chosen: index of the answer among the choices.

    Raises:
        ValueError: the prompt, the choices or a choice is empty, or there is no such choice.
    """

    prompt: Ids
    choices: tuple[Ids, ...]
    chosen: int = 0

    def __post_init__(self) -> None:
        if not self.prompt or not self.choices or not all(self.choices):
            raise ValueError("a target has no prompt, no choices, or an empty choice")
        if not 0 <= self.chosen < len(self.choices):
            raise ValueError(f"chosen is {self.chosen}, must be in [0, {len(self.choices)})")

    @property
    def answer_tokens(self) -> int:
        """Number of tokens of all choices."""
        return sum(map(len, self.choices))

    @property
    def longest(self) -> int:
        """Number of tokens of the longest prompt + choice."""
        return len(self.prompt) + max(map(len, self.choices))


def passes(targets: Sequence[Target], *, max_tokens: int, packed: bool) -> Iterator[list[int]]:
    """Yield the indices of the targets of one pass after another.

    Packed targets with the same prompt are neighbours, so that most passes compute a shared prompt once; padded ones of
    about the same length are, so that little is padding. A target that is larger than a pass gets one of its own.

    Args:
        targets: any number of targets.
        max_tokens: maximum number of tokens in a pass: of a packed one, shared prompts count once; of a padded one, all
            rows count with the length of the longest.
        packed: whether a pass is one packed sequence, see `log_likelihoods`.
    """
    grown = _with_packed if packed else _with_padded
    found: list[int] = []
    size = 0
    for i in sorted(range(len(targets)), key=lambda i: (targets[i].prompt if packed else (targets[i].longest,), i)):
        more = grown(size, targets[found[-1]] if found else None, targets[i])
        if found and more > max_tokens:
            yield found
            found, more = [], grown(0, None, targets[i])
        found.append(i)
        size = more
    if found:
        yield found


def _with_packed(size: int, last: Target | None, target: Target) -> int:
    """Return the number of tokens of a packed sequence of `size` tokens with another target after the last one."""
    shared = last is not None and last.prompt == target.prompt
    return size + target.answer_tokens + (0 if shared else len(target.prompt))


def _with_padded(size: int, last: Target | None, target: Target) -> int:
    """Return the number of tokens of padded rows with another target's rows, none of which is shorter than the last."""
    rows = 0 if last is None else size // last.longest
    return (rows + len(target.choices)) * target.longest


def log_likelihoods(network: Network, targets: Sequence[Target], *, packed: bool) -> Tensor:
    """Return the log-likelihood of each target's answer, shape (n,), float32; see the module's docstring.

    Args:
        network: the network, with whatever hooks are active.
        targets: the targets of one pass; at least one.
        packed: whether the network supports packed sequences (`scoring.packs`).
    """
    totals = (_packed if packed else _padded)(network, targets)  # (all choices of all targets,)
    found, start = [], 0
    for target in targets:
        each = totals[start : start + len(target.choices)]
        start += len(target.choices)
        if len(target.choices) == 1:
            found.append(each[0] / len(target.choices[0]))
        else:
            found.append(each[target.chosen] - each.logsumexp(dim=0))
    return torch.stack(found)


def _packed(network: Network, targets: Sequence[Target]) -> Tensor:
    """Return the summed log-probability of every choice, by one packed sequence."""
    trie = TokenTrie()
    nodes: list[int] = []  # the node that predicts each token of each choice
    tokens: list[int] = []
    owners: list[int] = []
    choice = 0
    for target in targets:
        last = trie.insert(target.prompt)[-1]
        for ids in target.choices:
            nodes += [last, *trie.insert(ids[:-1], last)]
            tokens += ids
            owners += [choice] * len(ids)
            choice += 1
    layout = Layout(trie, (), tuple(range(len(trie))))
    kept = sorted(set(nodes))
    place = {node: i for i, node in enumerate(kept)}
    logprobs = token_logprobs(
        network,
        network.tensor(kept),
        [place[node] for node in nodes],
        tokens,
        input_ids=network.tensor(layout.tokens)[None],
        position_ids=network.tensor(layout.positions)[None],
        attention_mask=network.packed_mask(layout.visible()),
        use_cache=False,
    )
    return logprobs.new_zeros(choice).index_add(0, network.tensor(owners), logprobs)


def _padded(network: Network, targets: Sequence[Target]) -> Tensor:
    """Return the summed log-probability of every choice, by one padded row for each."""
    rows = [(target.prompt, choice) for target in targets for choice in target.choices]
    fed = [(prompt + own)[:-1] for prompt, own in rows]  # no prediction is needed after the last token
    ids, mask = network.padded(fed)  # (rows, T) each
    first = min(len(prompt) for prompt, _ in rows) - 1
    kept = ids.shape[1] - first
    at = [row * kept + len(prompt) - 1 - first + i for row, (prompt, own) in enumerate(rows) for i in range(len(own))]
    logprobs = token_logprobs(
        network,
        torch.arange(first, ids.shape[1], device=network.device),
        at,
        [token for _, own in rows for token in own],
        input_ids=ids,
        attention_mask=mask,
        use_cache=False,
    )
    owners = network.tensor([row for row, (_, own) in enumerate(rows) for _ in own])
    return logprobs.new_zeros(len(rows)).index_add(0, owners, logprobs)
