"""Who may come in."""

import pytest

from clothret.settings import WebSettings
from clothret.web import gate
from clothret.web.cache import BudgetCache
from clothret.web.errors import ApiError


@pytest.mark.parametrize(
    "header",
    ["127.0.0.1:8000", "localhost", "[::1]:8000", "testserver", "10.1.2.3:80", "a.localhost", None],
)
def test_hosts_that_a_loopback_server_answers(header: str | None) -> None:
    gate.check_host(header, WebSettings())


@pytest.mark.parametrize("header", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_foreign_names_are_refused_on_loopback(header: str) -> None:
    with pytest.raises(ApiError) as refusal:
        gate.check_host(header, WebSettings())
    assert refusal.value.status_code == 421
    gate.check_host(header, WebSettings(hosts=(header.partition(":")[0],)))
    gate.check_host(header, WebSettings(host="0.0.0.0"))


def test_the_token_as_bearer_or_cookie() -> None:
    web = WebSettings(token="s3cret")
    cookie = f"{gate.COOKIE}={gate.cookie_value('s3cret')}"
    gate.check_token({"authorization": "Bearer s3cret"}, "/api/v1/catalogs", web)
    gate.check_token({"cookie": cookie}, "/api/v1/catalogs", web)
    gate.check_token({}, "/healthz", web)
    wrong = [{}, {"authorization": "Bearer s3creT"}, {"authorization": "Basic s3cret"}]
    wrong += [{"cookie": f"{gate.COOKIE}=s3cret"}, {"authorization": "Bearer é"}]
    for headers in wrong:
        with pytest.raises(ApiError, match="token"):
            gate.check_token(headers, "/metrics", web)


def test_rate_limit_per_client() -> None:
    limit = gate.RateLimit(10)  # two at once
    limit.check("a")
    limit.check("a")
    with pytest.raises(ApiError) as refusal:
        limit.check("a")
    assert refusal.value.status_code == 429
    assert int(refusal.value.headers["Retry-After"]) >= 1
    limit.check("b")


def test_rate_limit_is_off_on_loopback_unless_set() -> None:
    assert gate.RateLimit.of(WebSettings()) is None
    assert gate.RateLimit.of(WebSettings(host="0.0.0.0")) is not None
    assert gate.RateLimit.of(WebSettings(host="0.0.0.0", rate_per_minute=0)) is None
    assert gate.RateLimit.of(WebSettings(rate_per_minute=5)) is not None


@pytest.mark.parametrize(
    ("length", "status"), [("100", 413), ("9" * 400, 413), ("-1", 400), ("x", 400)]
)
def test_declared_lengths(length: str, status: int) -> None:
    with pytest.raises(ApiError) as refusal:
        gate.check_length({"content-length": length}, 50)
    assert refusal.value.status_code == status


def test_cache_keeps_within_its_budget() -> None:
    cache: BudgetCache[str, bytes] = BudgetCache(10, len)
    cache.put("a", b"1234")
    cache.put("b", b"1234")
    assert cache.get("a") == b"1234"  # now the more recent
    cache.put("c", b"1234")
    assert (cache.get("b"), cache.spent, len(cache)) == (None, 8, 2)
    cache.put("a", b"12")
    assert cache.spent == 6
    cache.put("d", b"12345678901")
    assert cache.get("d") is None
