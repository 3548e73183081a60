"""The page that Prometheus reads, read by its own parser."""

from __future__ import annotations

import timeit

from prometheus_client.parser import text_string_to_metric_families

from tessera.gateway.metrics import Counter, GatewayMetrics, Gauge, Histogram, MetricsPage


def read(page: MetricsPage) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of a page by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.text().decode())
        for sample in family.samples
    }


def test_prometheus_own_parser_reads_what_was_counted() -> None:
    metrics = GatewayMetrics()
    metrics.answered("digits", "voucher", "200", 0.003, 12, 340)
    metrics.answered("digits", "voucher", "200", 0.3, 8, 60)
    metrics.refusal("payment_required", 402, "digits")
    found = read(metrics.page)
    paid = (("model", "digits"), ("status", "200"), ("tender", "voucher"))
    assert found["tessera_calls_total", paid] == 2
    refused = (("model", "digits"), ("status", "402"), ("tender", "none"))
    assert found["tessera_calls_total", refused] == 1
    assert found["tessera_refused_total", (("code", "payment_required"),)] == 1
    assert found["tessera_units_total", (("model", "digits"),)] == 20
    assert found["tessera_charged_base_units_total", (("model", "digits"),)] == 400
    assert found["tessera_call_seconds_count", (("model", "digits"),)] == 2
    assert found["process_resident_memory_bytes", ()] > 1_000_000
    assert found["process_open_fds", ()] > 0


def test_every_family_has_its_kind_and_a_sentence() -> None:
    families = list(text_string_to_metric_families(GatewayMetrics().page.text().decode()))
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}
    assert all(family.documentation.endswith(".") for family in families)


def test_a_histogram_counts_below_each_bound_the_bound_itself_included() -> None:
    page = MetricsPage()
    times = Histogram("seconds", "Times.", (1, 2.5))
    page.add(times)
    for value in (0.5, 1, 2, 100):
        times.observe(value)
    found = read(page)
    assert [found["seconds_bucket", (("le", le),)] for le in ("1", "2.5", "+Inf")] == [2, 3, 4]
    assert found["seconds_sum", ()] == 103.5
    assert times.mean() == 103.5 / 4
    assert Histogram("none", "None.", (1,)).mean() is None


def test_a_label_may_hold_anything() -> None:
    page = MetricsPage()
    awkward = 'a "quoted\\" one\nin two lines, {x="y"} 7'
    counter = Counter("odd_total", 'Says "odd" \\ and\nmore.', "name")
    counter.add((awkward,))
    page.add(counter)
    assert read(page)["odd_total", (("name", awkward),)] == 1


def test_a_gauge_is_looked_up_when_the_page_is_read() -> None:
    page, waiting = MetricsPage(), [3]
    page.add(
        Gauge("waiting", "Waiting.", lambda: waiting[0]),
        Gauge("due", "Due.", lambda: {"a": 1, "b": 2.5}, label="model"),
    )
    assert read(page)["waiting", ()] == 3
    waiting[0] = 4
    found = read(page)
    assert found["waiting", ()] == 4
    assert found["due", (("model", "b"),)] == 2.5


def test_a_family_of_the_same_name_takes_the_place_of_the_earlier() -> None:
    page = MetricsPage()
    page.add(Gauge("x", "X.", lambda: 1))
    page.add(Gauge("x", "X.", lambda: 2))
    assert read(page) == {("x", ()): 2}


def test_counting_a_call_costs_about_a_microsecond() -> None:
    metrics = GatewayMetrics()
    times = 20_000
    best = min(
        timeit.repeat(
            lambda: metrics.answered("digits", "voucher", "200", 0.003, 12, 340),
            number=times,
            repeat=5,
        )
    )
    # Far above what it takes (under 1 us on the desk), so that a busy machine does not fail it.
    assert best / times < 8e-6
