"""What a service counts, in Prometheus' format."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskadapter.serve.service import Service

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)  # bounds of the histogram

_METHODS = ("GET", "POST", "HEAD", "OPTIONS")


class Metrics:
    """Counts requests by endpoint and status, and their seconds; reads the queue and the cache when it is asked."""

    def __init__(self, service: Service) -> None:
        self._registry, self._service = CollectorRegistry(), service
        labels = ("method", "endpoint")
        self.requests = Counter(
            "maskadapter_requests", "Requests that were answered.", (*labels, "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "maskadapter_request_seconds",
            "From the arrival of a request to its reply.",
            labels,
            buckets=_SECONDS,
            registry=self._registry,
        )
        for name, text, value in (
            ("maskadapter_queue_length", "Pieces of work that wait for the model.", lambda: service.worker.waiting),
            ("maskadapter_cache_bytes", "Bytes of the encoded images that are kept.", lambda: service.cache.bytes),
            ("maskadapter_cache_images", "Encoded images that are kept.", lambda: len(service.cache)),
        ):
            Gauge(name, text, registry=self._registry).set_function(value)
        self._registry.register(self)

    def collect(self) -> list[CounterMetricFamily]:
        """The hits and misses of the cache, as Prometheus' library asks for them."""
        cache = self._service.cache
        hits = CounterMetricFamily("maskadapter_cache_hits", "Images that were asked for and kept.", cache.hits)
        misses = CounterMetricFamily("maskadapter_cache_misses", "Images that had to be encoded.", cache.misses)
        return [hits, misses]

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)


class Counted:
    """Counts each request that passes through."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # The path of the endpoint, not what a client wrote: else each made-up path or method would be kept.
            endpoint = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, endpoint, str(status)).inc()
            self._metrics.seconds.labels(method, endpoint).observe(time.monotonic() - start)
