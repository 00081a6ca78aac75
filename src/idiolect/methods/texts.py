"""How likely a model finds what a person wrote: log p per token of a text, as the answer to a plain request.

For histories of texts there is no question whose answer could be compared; what counts is whether the personalized
model expects the person's own unseen words better than the base model does.
"""

from __future__ import annotations

from collections.abc import Sequence

from idiolect.models.language_model import ChoiceModel, ChoiceRequest, Message

PLAIN_REQUEST = "Write a short paragraph."  # what texts of the user's answer: nothing that says whose they are
MAX_CHARS = 1200  # of a text that is scored


async def text_log_likelihoods(texts: Sequence[str], model: ChoiceModel, *, prompt: str = "") -> list[float]:
    """Return the mean log-probability per token of each text, in nat; only its first `MAX_CHARS` characters count.

    Args:
        texts: none blank.
        model: gives log-probabilities.
        prompt: the system message; "": none.

    Raises:
        ModelError: the model could not answer.
    """
    front = (Message("system", prompt),) if prompt else ()
    chat = (*front, Message("user", PLAIN_REQUEST))
    found = await model.choice_logprobs([ChoiceRequest(chat, (text[:MAX_CHARS],)) for text in texts])
    return [each.per_token[0] for each in found]
