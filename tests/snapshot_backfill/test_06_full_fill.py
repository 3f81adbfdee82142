"""Full fill: watched from outside while it runs, counted in the database when it has ended."""

import itertools
import json
import math
import re

import pytest

from signoff import checkpoint

FIVE = "session_id, source_ip, snapshot_asn, snapshot_country, snapshot_ip_type, enrichment_at"
SESSIONS_OF_THE_PLAN = 1_682_827
FIVE_MINUTES = 300
FAULTS = "ERROR: .*(violates|does not exist|malformed)"
# A password in an address or behind a name that announces one. Where Signoff has recognised one itself, only
# its mask is left of it.
CREDENTIAL = (
    r"(?i)\[redacted\]|://[^/\s:@]+:[^/\s@]+@|(?:password|passwd|pgpassword)\s*[=:]\s*['\"]?[^\s'\",}]+"
)


@pytest.fixture
def fill(remembered, rehearse, setting, ip_type_columns, to_fill, db, host, procedures, watch, status):
    """The full fill, executed once and watched, with the table before and after it."""
    if not remembered:
        # A rehearsal with nothing left to fill goes back; elsewhere that is for people to decide.
        if setting("rehearsal") == "yes" and (
            ip_type_columns() != {"snapshot_ip_type text"} or to_fill()["left"] == 0
        ):
            rehearse("reset", "migrate")
        before, log = to_fill(), host.log_position()
        wal = db.scalar("select pg_current_wal_insert_lsn()::text")
        running = procedures.start("backfill")
        looks = watch(running)
        remembered.update(
            before=before,
            looks=looks,
            outcome=running.wait(),
            after=to_fill(),
            status=status(),
            wal_bytes=db.scalar(
                "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s::text::pg_lsn)::bigint", [wal]
            ),
            faults=host.log_lines(since=log, pattern=FAULTS),
        )
    return remembered


@checkpoint("SNP-055")
@pytest.mark.destructive
def test_work_to_do_is_on_record(fill, expect):
    """Before the full fill begins, the number of sessions left to fill is on record and is not zero."""
    expect("sessions left to fill", fill["before"]["left"], "sessions").more_than(0)


@checkpoint("SNP-057")
@pytest.mark.destructive
def test_full_fill_runs_to_its_end(fill, expect):
    """The full fill ends with status 0, without a failed batch or an error, and leaves nothing to fill."""
    expect("exit status", fill["outcome"].exit_status).equals(0)
    expect("errors printed", fill["outcome"].error_lines).equals([])
    expect("failed batches", fill["status"]["failed_batches"], "batches").equals(0)
    expect("left according to the status file", fill["status"]["remaining"], "sessions").equals(0)
    expect("left in the database", fill["after"]["left"], "sessions").equals(0)


@checkpoint("SNP-065")
@pytest.mark.destructive
def test_no_constraint_or_column_error(fill, expect):
    """Neither the output of the fill nor the server's log tells of a broken constraint or missing column."""
    said = re.findall(r"(?m)^.*(?:violates|does not exist|malformed).*$", fill["outcome"].output)
    expect("errors in the output", said).equals([])
    expect("errors in the server's log", fill["faults"]).equals([])


@checkpoint("SNP-058")
@pytest.mark.destructive
def test_progress_can_be_followed_in_the_database(fill, expect):
    """While the fill runs, more and more sessions are done, and never fewer than a moment before."""
    done = [fill["before"]["done"], *(look.done for look in fill["looks"]), fill["after"]["done"]]
    steps = [later - earlier for earlier, later in itertools.pairwise(done)]
    expect("looks in mid-run", len(set(done)) - 2, "samples").at_least(1)
    expect("smallest step", min(steps)).at_least(0)
    expect("sessions done in all", sum(steps), "sessions").more_than(0)


@checkpoint("SNP-063")
@pytest.mark.destructive
def test_progress_in_the_status_file_is_true(fill, expect):
    """The progress in the status file only grows, and never claims more sessions than the database holds."""
    looks = [look for look in fill["looks"] if look.status]
    processed = [look.status["processed"] for look in looks]
    steps = [
        later - earlier for earlier, later in itertools.pairwise([*processed, fill["status"]["processed"]])
    ]
    # The file was read first and the database afterwards, so the database may be ahead and never behind.
    ahead = [look.done - fill["before"]["done"] - look.status["updated"] for look in looks]
    expect("looks at the status file", len(looks), "samples").at_least(1)
    expect("smallest step", min(steps)).at_least(0)
    expect("sessions in the database beyond those claimed, at least", min(ahead)).at_least(0)


@checkpoint("SNP-059")
@pytest.mark.destructive
def test_status_file_is_current(fill, expect):
    """While batches are running, the status file is at no time older than ten of them take."""
    ages = [look.status_age for look in fill["looks"] if look.status and look.status["remaining"]]
    ten_batches = 10 * fill["status"]["seconds"] / fill["status"]["batches"]
    expect("looks at the status file", len(ages), "samples").at_least(1)
    # The age of a file is known in whole seconds.
    expect("oldest", max(ages), "s").at_most(math.ceil(ten_batches) + 1)


@checkpoint("SNP-098")
@pytest.mark.destructive
def test_log_can_be_followed(fill, expect):
    """The log of the fill grows while it runs, and not only when it has ended."""
    lines = [look.log_lines for look in fill["looks"]]
    expect("lines before the end", max(lines), "lines").at_least(1)
    expect("lines in all", len(fill["outcome"].output.splitlines()), "lines").more_than(max(lines[0], 1))


@checkpoint("SNP-060")
@pytest.mark.destructive
@pytest.mark.performance
def test_number_of_batches_fits_the_sessions(fill, expect):
    """The fill takes the batches that its sessions need at 1,000 each, and no more than the table would."""
    least, most = (math.ceil(fill["before"][count] / 1000) for count in ("left", "sessions"))
    expect("batches", fill["status"]["batches"], "batches").between(least, most)


@checkpoint("SNP-061")
@pytest.mark.destructive
@pytest.mark.performance
def test_batch_takes_at_most_five_seconds(fill, expect):
    """A batch of 1,000 sessions takes at most 5 s on average."""
    # No lower limit, although the plan says 2 to 5 s: see `Two figures for the speed`.
    each = fill["status"]["seconds"] / fill["status"]["batches"]
    expect("time of a batch", each, "s").at_most(5)


@checkpoint("SNP-064")
@pytest.mark.destructive
@pytest.mark.performance
def test_full_fill_is_fast_enough(fill, expect, setting):
    """While its batches run, the full fill does as many sessions per second as the agreed window needs."""
    speed = fill["status"]["processed"] / fill["status"]["seconds"]
    expect("speed", speed, "sessions/s").at_least(setting("fill_speed"))
    expect("speed in per cent of 2,000 sessions/s", 100 * speed / 2000, "%").more_than(0)


@checkpoint("SNP-068")
@pytest.mark.destructive
@pytest.mark.performance
def test_speed_never_stays_below_the_alert(fill, expect, setting):
    """In no five minutes of the fill, or the whole of a shorter one, is the speed below the alert figure."""
    seen = [(look.seconds, look.done) for look in fill["looks"]]
    whole = fill["status"]["processed"] / fill["status"]["seconds"]
    windows = [
        (later - earlier) / (end - begin)
        for (begin, earlier), (end, later) in itertools.combinations(seen, 2)
        if FIVE_MINUTES <= end - begin < 2 * FIVE_MINUTES
    ]
    expect("slowest five minutes", min([whole, *windows]), "sessions/s").at_least(setting("fill_speed_alert"))


@checkpoint("SNP-007")
@pytest.mark.destructive
@pytest.mark.performance
def test_full_fill_fits_the_window(fill, expect):
    """The full fill takes at most 120 minutes for 1,682,827 sessions, in proportion to what it filled."""
    share = fill["before"]["left"] / SESSIONS_OF_THE_PLAN
    expect("share of the agreed window", 100 * fill["outcome"].seconds / (120 * 60 * share), "%").at_most(100)
    expect("time", fill["outcome"].seconds, "s").more_than(0)


@checkpoint("SNP-062")
@pytest.mark.destructive
@pytest.mark.performance
def test_batches_fit_the_timeline(fill, expect):
    """All batches together take at most 140 minutes for 1,682,827 sessions, in proportion to those filled."""
    share = fill["before"]["left"] / SESSIONS_OF_THE_PLAN
    expect("share of the timeline", 100 * fill["status"]["seconds"] / (140 * 60 * share), "%").at_most(100)


@checkpoint("SNP-066")
@pytest.mark.destructive
@pytest.mark.performance
def test_memory_is_watched(fill, expect):
    """While the fill runs, the machine never uses more than 90 % of its memory."""
    used = [look.memory_used for look in fill["looks"]]
    expect("looks", len(used), "samples").at_least(1)
    expect("most memory used", max(used), "%").at_most(90)


@checkpoint("SNP-067")
@pytest.mark.destructive
@pytest.mark.performance
def test_write_ahead_log_is_on_record(fill, expect):
    """What the fill writes to the write-ahead log, in all and per second, is on record."""
    expect("written", fill["wal_bytes"], "bytes").more_than(0)
    expect("rate", fill["wal_bytes"] / fill["outcome"].seconds, "bytes/s").more_than(0)


@checkpoint("SNP-056")
@pytest.mark.destructive
@pytest.mark.security
def test_no_credential_is_shown(fill, environment, expect):
    """No credential stands in the command line of the fill, in what it prints, or in its status file."""
    command = " ".join(environment.system("cowrieprocessor").procedure("backfill").command)
    texts = {"command": command, "output": fill["outcome"].output, "status file": json.dumps(fill["status"])}
    expect("characters looked through", sum(map(len, texts.values())), "characters").more_than(0)
    found = [place for place, text in texts.items() if re.search(CREDENTIAL, text)]
    expect("places with a credential", found).equals([])


@checkpoint("SNP-074")
@pytest.mark.destructive
@pytest.mark.usefixtures("fill")
def test_second_fill_changes_nothing(procedures, expect, fingerprint, transaction, written_since):
    """Running the fill again ends with status 0, writes no row, and leaves every value as it is."""
    before, since = fingerprint(FIVE), transaction()
    again = procedures.run("backfill")
    expect("exit status", again.exit_status).equals(0)
    expect("sessions", before["rows"], "sessions").more_than(0)
    expect("rows and digest", fingerprint(FIVE)).equals(before)
    expect("rows written", written_since(since), "rows").equals(0)
