"""What Prometheus is told, in a registry of the application's own."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Metrics:
    """Counters and histograms; labels take few values, whatever clients send."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "clothret_http_requests_total",
            "Requests answered",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "clothret_http_seconds",
            "Time to answer a request",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.searches = Histogram(
            "clothret_search_seconds",
            "Ranking and reading hits, by what was searched with",
            ["by"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.detections = Histogram(
            "clothret_detect_seconds",
            "Decoding a picture and finding its garments",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "clothret_http_in_flight", "Requests under way", registry=self._registry
        )
        self.waiting = Gauge(
            "clothret_pool_pending", "Work running or waiting", ["pool"], registry=self._registry
        )
        self.cached = Gauge(
            "clothret_cache_entries", "Entries kept", ["cache"], registry=self._registry
        )
        self.generation = Gauge(
            "clothret_generation_info",
            "1 for the generation that each catalog is served from",
            ["catalog", "generation"],
            registry=self._registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; `route` is a template, never a path that a client chose."""
        known = method if method in METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
