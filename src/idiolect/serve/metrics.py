"""Prometheus metrics of a gateway: counts and times by route and status; no user, key or text is a label."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from idiolect.serve.exchange import Exchange

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, with when it began
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_ADDED_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1)


class Metrics:
    """The metrics of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._ended: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "idiolect_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "idiolect_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["route"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._added = Histogram(
            "idiolect_added_seconds",
            "Seconds from a request's body until the model was asked.",
            registry=registry,
            buckets=_ADDED_SECONDS,
        )
        self._personalized = Counter("idiolect_personalized", "Answers by what was used.", ["used"], registry=registry)
        self._streams = Gauge("idiolect_active_requests", "Requests that are being answered.", registry=registry)
        self._broken = Counter(
            "idiolect_broken_streams", "Streams that ended early, by who ended them.", ["by"], registry=registry
        )
        self._cache = Counter(
            "idiolect_personalization_cache", "What the cache of personalizations did.", ["outcome"], registry=registry
        )
        self._upstream = Counter(
            "idiolect_upstream_errors", "Failures of the upstream, by status or kind.", ["kind"], registry=registry
        )

    def begin(self) -> None:
        """Count a request that begins."""
        self._streams.inc()

    def end(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Count a request that has ended, after so many seconds."""
        self._streams.dec()
        ended = self._ended.get((exchange.route, status))
        if ended is None:  # looking labels up costs as much as all the rest
            counter = self._requests.labels(exchange.route, str(status))
            ended = self._ended[exchange.route, status] = counter, self._seconds.labels(exchange.route)
        ended[0].inc()
        ended[1].observe(seconds)
        if exchange.added is not None:
            self._added.observe(exchange.added)
        if exchange.personalization:
            methods = [part.partition("-")[0] for part in exchange.personalization.split("+")]
            self._personalized.labels("+".join(methods)).inc()
        if exchange.broken:
            self._broken.labels(exchange.broken).inc()

    def cached(self, outcome: str) -> None:
        """Count what the cache of personalizations did with a request."""
        self._cache.labels(outcome).inc()

    def upstream_failed(self, kind: str) -> None:
        """Count a failure of the upstream."""
        self._upstream.labels(kind).inc()

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)
