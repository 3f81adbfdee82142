"""Load test: what the application needs at its peak works under the new limits."""

from dataclasses import asdict

import pytest

from signoff import checkpoint


@checkpoint("SEC-055")
@pytest.mark.destructive
@pytest.mark.performance
def test_load_is_carried(load, baseline, here, expect):
    """20 clients work for 300 s without a failed transaction, at 80 % or more of the recorded throughput."""
    # Recorded whatever its outcome, and with its change: later checks judge this load and no other.
    change = baseline.read("change", here)["at"]
    baseline.store("load-after", asdict(load), {**here, "change": change})
    expect("exit status", load.exit_status).equals(0)
    expect("errors printed", load.error_lines).equals([])
    expect("clients", load.clients).at_least(20)
    expect("duration", load.seconds, "s").at_least(300)
    expect("failed transactions", load.failed, "transactions").equals(0)
    expect("own lines found in the log", load.own_lines, "lines").at_least(1)
    before = baseline.read("load-before", {**here, "clients": load.clients, "seconds": load.seconds})
    expect("throughput against the record", 100 * load.per_second / before["per_second"], "%").at_least(80)


@checkpoint("SEC-012")
@pytest.mark.read_only
@pytest.mark.performance
def test_no_statement_times_out_under_load(baseline, here, expect):
    """While the load ran, the server's log told of no statement or transaction cut off by a timeout."""
    # SQLSTATE 57014 is also a user's cancellation; the lines were counted by the server's words.
    change = baseline.read("change", here)["at"]
    load = baseline.read("load-after", {**here, "change": change})
    expect("own lines found in the log", load["own_lines"], "lines").at_least(1)
    expect("transactions", load["transactions"], "transactions").more_than(0)
    expect("timeouts in the log", load["timeouts"], "errors").equals(0)
