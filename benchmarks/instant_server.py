"""An OpenAI-compatible server that thinks nothing and answers at once (or after a fixed time): the yardstick for
overhead. It counts requests and how many are in flight; GET /stats tells.

    python benchmarks/instant_server.py --port 8765 --latency 0.5
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time

from aiohttp import web


class Stats:
    """Requests, and the time integral of those in flight."""

    def __init__(self) -> None:
        self.requests = self.in_flight = self.peak = 0
        self.first = self.last = time.perf_counter()
        self.area = 0.0

    def change(self, by: int) -> None:
        """One more or one less in flight."""
        now = time.perf_counter()
        if not self.requests:
            self.first = now
        self.area += self.in_flight * (now - self.last)
        self.last = now
        self.in_flight += by
        self.peak = max(self.peak, self.in_flight)
        self.requests += by > 0

    def told(self) -> dict[str, float]:
        """Mean in flight from the first request to the last change."""
        seconds = self.last - self.first
        mean = self.area / seconds if seconds else 0.0
        return {"requests": self.requests, "peak": self.peak, "mean_in_flight": mean, "seconds": seconds}


def content_of(body: bytes) -> str:
    """A choice for a question, a new text in brackets for a meta-prompt; the same for the same request."""
    digest = hashlib.blake2b(body, digest_size=8).digest()
    if b"square brackets" in body:
        return f"[Number {digest.hex()}: answer as this person would, who likes things plain and not too spicy.]"
    return "12345"[digest[0] % 5]


def application(latency: float) -> web.Application:
    """The server."""
    stats = Stats()

    async def chat(request: web.Request) -> web.Response:
        stats.change(+1)
        try:
            body = await request.read()
            if latency:
                await asyncio.sleep(latency)
            text = content_of(body)
            answer = {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": "instant",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": len(body) // 4, "completion_tokens": len(text) // 4 + 1},
            }
            return web.Response(body=json.dumps(answer).encode(), content_type="application/json")
        finally:
            stats.change(-1)

    async def told(_: web.Request) -> web.Response:
        return web.json_response(stats.told())

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/stats", told)
    return app


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until each answer")
    arguments = parser.parse_args()
    web.run_app(application(arguments.latency), host="127.0.0.1", port=arguments.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
