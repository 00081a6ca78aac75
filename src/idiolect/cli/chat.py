"""The command `idiolect chat`: a conversation with a model that is personalized to one user."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from idiolect.application.names import DEFAULT_MODEL, AskedMethod
from idiolect.cli.options import MOST_TOKENS, JsonOption, StoreOption, named_owner, option

EXAMPLES = (
    "idiolect chat --user u1",
    'idiolect chat --user u1 --system "Answer in one sentence." --once "What should I cook tonight?"',
    "idiolect chat --user u1 --method both --json < question.txt",
)


def chat(
    user: Annotated[str | None, option("User for whom the model answers.", "ID")] = None,
    group: Annotated[str | None, option("Group whose edit answers; works for members and others.", "NAME")] = None,
    method: Annotated[
        AskedMethod | None, option("Method that personalizes. Default: whichever has learned; fermi if both have.")
    ] = None,
    system: Annotated[str | None, option("System message of your own. It follows the person's prompt.", "TEXT")] = None,
    once: Annotated[
        str | None,
        option("Say only this, print the answer, and end. Without it, text that is piped in is said.", "TEXT"),
    ] = None,
    model: Annotated[
        str | None,
        option(
            f"Model that answers. Default: the model of the fit; {DEFAULT_MODEL} if nothing was learned for the user.",
            "NAME",
        ),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, max=MOST_TOKENS, metavar="N", help="Maximum length of an answer.")
    ] = 512,
    temperature: Annotated[
        float, typer.Option(min=0, max=2, metavar="T", help="Randomness of the answers; 0 is none.")
    ] = 0.0,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Have a conversation with a model that is personalized to a user.

    The last turn chooses the user's prompt, by the scores on the nearest opinions that are known; no prompt is scored
    in a conversation. With an edit, the edited model answers. If nothing was learned, or if the evidence does not speak
    for it, the base model answers, and the reason is shown.

    Ctrl-C stops an answer, and ends the conversation when nothing is being answered. /new begins a new conversation;
    /quit or Ctrl-D ends it.
    """
    from idiolect.application.blocking import Workspace
    from idiolect.cli.chat_screen import Conversation, answer_once, converse
    from idiolect.cli.progress import SCREEN
    from idiolect.models.language_model import Message, SamplingParams

    owner = named_owner(user, group)
    if owner.kind == "group" and method not in (None, "chameleon"):
        raise typer.BadParameter("only CHAMELEON learns for groups", param_hint="'--method'")
    interactive = once is None and _is_terminal()
    said = "" if interactive else _piped() if once is None else once
    if not interactive and not said.strip():
        raise typer.BadParameter("there is nothing to say", param_hint="'--once'")
    instructions = (Message("system", system),) if system else ()
    sampling = SamplingParams(max_tokens=max_tokens, temperature=temperature)
    with Workspace.open(store, model=model or DEFAULT_MODEL, create=False, events=SCREEN) as space:
        conversation = Conversation(space, owner, method, model, sampling, instructions, as_json=json)
        if interactive:
            converse(conversation)
        else:
            answer_once(conversation, said)


def _piped() -> str:
    """Return the text that is piped in; bytes that are no text become �."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    return sys.stdin.read()


def _is_terminal() -> bool:
    """Return whether somebody types what is said."""
    return sys.stdin.isatty()
