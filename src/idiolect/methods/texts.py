"""The likelihood of a person's texts under a model: log p per token of a text, as the answer to a plain request.

Texts have no questions whose answers could be compared. Instead, a personalized model is judged by whether it gives
the person's own unseen words a higher likelihood than the base model does.
"""

from __future__ import annotations

from collections.abc import Sequence

from idiolect.models.language_model import ChoiceModel, ChoiceRequest, Message

PLAIN_REQUEST = "Write a short paragraph."  # the user's texts answer this; it does not reveal whose they are
MAX_CHARS = 1200  # characters of a text that are scored


def storable(text: str) -> str:
    """Return a model's text without outer blanks, NULs and lone surrogates; stores and files cannot keep the latter."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8").strip()


async def text_log_likelihoods(
    texts: Sequence[str], /, model: ChoiceModel, *, prompt: str = "", requests: Sequence[str] = ()
) -> list[float]:
    """Return the mean log-probability per token of each text's first `MAX_CHARS` characters, in nat.

    Args:
        texts: texts to score; none may be blank.
        model: model with log-probabilities.
        prompt: system message; "": none.
        requests: request that each text answers; (): all answer `PLAIN_REQUEST`.

    Raises:
        ModelError: the model could not answer.
    """
    front = (Message("system", prompt),) if prompt else ()
    asked = requests or [PLAIN_REQUEST] * len(texts)
    found = await model.choice_logprobs(
        [
            ChoiceRequest((*front, Message("user", request)), (text[:MAX_CHARS],))
            for request, text in zip(asked, texts, strict=True)
        ]
    )
    return [each.per_token[0] for each in found]
