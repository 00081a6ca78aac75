"""What streaming costs: CPU per call of the remote model against an instant server, plain and streamed.

    python benchmarks/remote_streaming.py

The server runs in another process. Each answer has so many pieces (tokens); a piece is an event of the stream.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import platform
import time
from dataclasses import replace
from multiprocessing.connection import Connection

from aiohttp import web

from idiolect.models.language_model import CompletionRequest, Message, SamplingParams
from idiolect.models.remote import chat
from idiolect.models.remote.endpoint import Endpoint
from idiolect.models.remote.transport import RemoteSettings

PIECES = (1, 8, 64, 512)
CALLS = 300
ROUNDS = 5


def serve(ready: Connection) -> None:
    """Serve answers of as many words as the question names."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        n = int(body["messages"][0]["content"])
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        usage = {"prompt_tokens": 1, "completion_tokens": n}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "word " * n}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({**head, "choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(n):
            piece = {**head, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
            await response.write(f"data: {json.dumps(piece)}\n\n".encode())
        last = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}
        await response.write(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())
        await response.write_eof()
        return response

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


async def cpu_per_call(port: int, pieces: int, *, streamed: bool) -> float:
    """Return the milliseconds of CPU that one call takes in this process; the smallest of several rounds."""
    chat.STREAMED_FROM = 1 if streamed else 10**9
    endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", "m", "IDIOLECT_API_KEY")
    request = CompletionRequest((Message("user", str(pieces)),), SamplingParams(max_tokens=4096))
    requests = [replace(request, draw=draw) for draw in range(CALLS)]
    best = float("inf")
    async with chat.RemoteModel(endpoint, settings=RemoteSettings(concurrency=8)) as model:
        await model.complete(requests[:20])
        for _ in range(ROUNDS):
            start = time.process_time()
            await model.complete(requests)
            best = min(best, time.process_time() - start)
    return 1000 * best / CALLS


def main() -> None:
    """Print the table."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(sending,), daemon=True)
    server.start()
    port = receiving.recv()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("| pieces | plain | streamed |\n|---|---|---|")
    for pieces in PIECES:
        plain, streamed = (asyncio.run(cpu_per_call(port, pieces, streamed=s)) for s in (False, True))
        print(f"| {pieces} | {plain:.2f} ms | {streamed:.2f} ms |")
    server.terminate()


if __name__ == "__main__":
    main()
