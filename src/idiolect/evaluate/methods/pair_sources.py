"""Where DPO's pairs come from: CHAMELEON's data, or everything that the person said.

    chameleon-paper   what the model writes with and without CHAMELEON's guidance      (`ChameleonMethod`)
    own words         each opinion and text as it was written, beside what the model says instead

Own words are neither shortened nor flattened, and nothing of them is held out, because DPO has no gate: it learns from
as much as CHAMELEON's steps and `sft` do.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.methods.chameleon.preferences import Pair, Query, question_query, write_pairs
from idiolect.methods.chameleon.settings import GenerationSettings
from idiolect.methods.texts import PLAIN_REQUEST
from idiolect.people.user import Opinion, User

_LEAST_PAIRS = 2  # with which DPO can train


class PairSource(Protocol):
    """A source of a person's pairs."""

    async def pairs(self, user: User, desk: Desk) -> tuple[Pair, ...]:
        """Return the pairs to learn from.

        Raises:
            PersonalizationError: there are too few.
            ModelError, HaltedError: the model could not answer.
        """
        ...

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the pairs; raise SettingsError if they cannot be made on this bench."""
        ...


@dataclass(frozen=True, slots=True)
class OwnWords:
    """Pairs of a person's own words: one for each opinion and text, or the first ones if the run limits their number.

    Pairs whose sides are too alike, and those for which the model wrote nothing whole, are left out
    (`preferences.write_pairs`).
    """

    async def pairs(self, user: User, desk: Desk) -> tuple[Pair, ...]:
        """Return a person's pairs; the model writes the other sides."""
        weights = desk.bench.weights()
        settings = GenerationSettings(
            max_tokens=weights.pair_tokens or GenerationSettings().max_tokens,
            whole_sentences=True,
            personalized="own",
            least_pairs=_LEAST_PAIRS,
            seed=desk.seed,
        )
        queries = [*map(_asked, user.opinions), *(Query(PLAIN_REQUEST, text) for text in user.texts)]
        return (await write_pairs(queries[: weights.pairs], (), desk.model, settings)).pairs

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the number and the length of the pairs."""
        weights = bench.weights()
        return ("own words", weights.pairs, weights.pair_tokens)


def _asked(opinion: Opinion) -> Query:
    """Return the opinion's question, whole, with the answer as it was written."""
    return Query(question_query(opinion, max_chars=len(opinion.question.text)).text, opinion.answer)
