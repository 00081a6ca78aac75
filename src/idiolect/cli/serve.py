"""The command `idiolect serve`: an OpenAI-compatible server in which each user gets their own model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from idiolect.cli.options import StoreOption, option

if TYPE_CHECKING:
    from idiolect.serve.gateway import Gateway

EXAMPLES = (
    "idiolect serve --upstream https://api.openai.com/v1",
    "idiolect serve --upstream http://127.0.0.1:8000/v1 --port 9000",
    "idiolect serve --model embedded --store ./store",
    "idiolect serve --config gateway.toml --print-config",
)
_MISSING = "the server needs"


def serve(
    upstream: Annotated[
        str | None, option("Server that answers, which speaks OpenAI's protocol; --model answers without one.", "URL")
    ] = None,
    model: Annotated[
        str | None, option("Model that answers in this process, without an upstream. Default: embedded.", "NAME")
    ] = None,
    host: Annotated[str | None, option("Address to listen at. Default: 127.0.0.1, this machine only.", "HOST")] = None,
    port: Annotated[int | None, option("Port to listen at. Default: 8080; 0: any free one.", "N", min=0, max=65535)] = (
        None
    ),
    store: StoreOption = None,
    config: Annotated[
        Path | None, option("Settings (TOML), see docs/gateway.md. Default: $IDIOLECT_SERVE_CONFIG, if set.", "FILE")
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option("--print-config", help="Print the settings in force, and where each came from, and end."),
    ] = False,
) -> None:
    """Serve an OpenAI-compatible API in which each user gets their own model.

    Whoever asks is found by their key, by a header of a trusted proxy, or by the field `safety_identifier` or `user`.
    The prompt learned for them goes in front of their conversation, or their edit answers. Users for whom nothing was
    learned, or whose evidence does not speak for it, get the base model. Ctrl-C finishes running answers and ends.
    """
    try:
        from idiolect.serve.settings import load_settings
    except ImportError as error:
        raise _missing(error) from error
    from idiolect.cli.boundary import wrong_use

    given = {"upstream": upstream, "model": model, "host": host, "port": port, "store": store}
    with wrong_use():
        loaded = load_settings(config, given)
    _print_on_stderr(*loaded.notes)
    if print_config:
        for line in loaded.lines():
            typer.echo(line)
        return
    try:
        from idiolect.serve.logs import open_logs
        from idiolect.serve.running import serve as run
    except ImportError as error:
        raise _missing(error) from error
    from idiolect.cli.interrupts import until_stopped

    open_logs(loaded.settings.log_level)
    if loaded.settings.upstream is None:
        _print_on_stderr(f"opening {loaded.settings.answering_model}")  # which takes seconds
    until_stopped(lambda stop: run(loaded.settings, stop, _print_start))


def _missing(error: ImportError) -> Exception:
    from idiolect.errors import MissingExtraError

    return MissingExtraError.of(_MISSING, "serve", error)


def _print_on_stderr(*lines: str) -> None:
    from idiolect.cli.terminal import err, safe

    for line in lines:
        err().print(safe(line))


def _print_start(gateway: Gateway, port: int) -> None:
    """Print on stderr where the server listens, what answers, and how to ask."""
    from idiolect.cli.terminal import err, safe

    settings, trust = gateway.settings, gateway.trust
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}/v1"
    keys = "no key needed" if trust.anonymous else "a key is needed"
    console = err()
    console.print(safe(f"serving {url}: {gateway.answers.describes} answers, {keys}"))
    shown = "" if trust.anonymous else ' -H "Authorization: Bearer $KEY"'
    named = settings.upstream is not None
    body = '{"model": "%s", "user": "ID", "messages": [{"role": "user", "content": "Tea or coffee?"}]}' % (
        "MODEL" if named else settings.answering_model
    )
    console.print(safe(f"try: curl {url}/chat/completions -H 'Content-Type: application/json'{shown} -d '{body}'"))
