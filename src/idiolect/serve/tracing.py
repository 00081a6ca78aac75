"""OpenTelemetry spans around what takes time, if they are switched on; nothing is imported otherwise.

Where they go is OpenTelemetry's own matter: the environment variables OTEL_EXPORTER_OTLP_ENDPOINT and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from idiolect.errors import MissingExtraError
from idiolect.version import __version__

Span = Callable[[str], AbstractContextManager[object]]


def no_span(_name: str) -> AbstractContextManager[object]:
    """Return a context that traces nothing."""
    return nullcontext()


def open_tracing() -> tuple[Span, Callable[[], None]]:
    """Return what opens a span, and what sends the last ones at the end.

    Raises:
        MissingExtraError: the extra `otel` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtraError.of("traces need", "otel", error) from error
    provider = TracerProvider(resource=Resource.create({"service.name": "idiolect", "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return spans_of(provider.get_tracer("idiolect.serve", __version__)), provider.shutdown


def spans_of(tracer: object) -> Span:
    """Return what opens a span of an OpenTelemetry tracer; the request's span is the parent of those within it."""
    start = tracer.start_as_current_span  # type: ignore[attr-defined]

    def span(name: str) -> AbstractContextManager[object]:
        found: AbstractContextManager[object] = start(name, record_exception=False)
        return found

    return span
