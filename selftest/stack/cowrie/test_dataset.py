"""The generated sessions: as skewed, incomplete and varied as those in the field, and reproducible."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from stack.cowrieprocessor import typical_addresses
from stack.cowrieprocessor.dataset import Dataset
from stack.cowrieprocessor.errors import Refused

UNTIL = datetime(2026, 3, 1, 12, 34, 56, 789_000, tzinfo=UTC)


def dataset(*, sessions: int = 20_000, seed: int = 1, until: datetime = UNTIL) -> Dataset:
    """Of typical proportions."""
    return Dataset(sessions=sessions, addresses=typical_addresses(sessions), seed=seed, until=until)


def everything(content: Dataset) -> list[str]:
    """All lines of all tables."""
    return list(itertools.chain(content.asn_rows(), content.inventory_rows(), content.session_rows()))


class Content:
    """Generated lines, taken apart; countries by address, None where the inventory has none."""

    def __init__(self, content: Dataset) -> None:
        self.inventory = {
            fields[0]: fields
            for fields in (line.rstrip("\n").split("\t") for line in content.inventory_rows())
        }
        self.sessions = [line.rstrip("\n").split("\t") for line in content.session_rows()]
        self.address_of = [json.loads(session[4])["source_ip"] for session in self.sessions]
        self.countries: dict[str, str | None] = {
            address: json.loads(fields[5])["maxmind"]["country"] for address, fields in self.inventory.items()
        }

    def share(self, hits: int) -> float:
        """In percent of the sessions."""
        return 100 * hits / len(self.sessions)


@pytest.fixture(scope="module", params=[1, 2, 3])
def content(request: pytest.FixtureRequest) -> Content:
    """20,000 sessions of several seeds."""
    return Content(dataset(seed=request.param))


def test_the_same_seed_gives_the_same_rows() -> None:
    """Seed, numbers and time determine every row."""
    assert everything(dataset(sessions=500)) == everything(dataset(sessions=500))


def test_another_seed_gives_other_sessions() -> None:
    """No session id and hardly an address is shared by two seeds."""
    one, other = (Content(dataset(sessions=500, seed=seed)) for seed in (1, 2))
    assert not {session[0] for session in one.sessions} & {session[0] for session in other.sessions}
    assert len(set(one.address_of) & set(other.address_of)) < 5


def test_session_ids_are_twelve_hexadecimal_digits_and_unique(content: Content) -> None:
    """Ids look random, have the field's form and never collide."""
    ids = [session[0] for session in content.sessions]
    assert len(set(ids)) == len(ids)
    assert all(len(name) == 12 and int(name, 16) >= 0 for name in ids)
    assert max(Counter(name[0] for name in ids).values()) < len(ids) / 16 * 1.2


def test_a_complete_backfill_covers_about_98_percent(content: Content) -> None:
    """Some sessions come from addresses that the inventory lacks, or knows without a country."""
    covered = sum(content.countries.get(address) is not None for address in content.address_of)
    assert 97.5 <= content.share(covered) <= 99
    assert {address for address in content.address_of if address not in content.inventory}
    assert None in content.countries.values()


def test_about_16_percent_come_from_china(content: Content) -> None:
    """The country that the runbook's queries filter by has its usual share."""
    hits = sum(content.countries.get(address) == "CN" for address in content.address_of)
    assert 14 <= content.share(hits) <= 18


def test_sessions_are_skewed_over_addresses(content: Content) -> None:
    """Every address has a session, the busiest tenth has half of them, and none has more than 2 %."""
    counts = [count for _address, count in Counter(content.address_of).most_common()]
    assert len(counts) == typical_addresses(20_000)
    assert sum(counts[: len(counts) // 10]) > len(content.sessions) / 2
    assert counts[0] <= len(content.sessions) / 50
    assert counts[-1] == 1


def test_types_are_lists_of_different_lengths(content: Content) -> None:
    """Inventory rows have no type, one, or several, and all main types occur."""
    types = [fields[2].strip("{}").split(",") for fields in content.inventory.values()]
    assert {len(names) for names in types} == {1, 2, 3}
    assert {names[0] for names in types} == {"", "DATACENTER", "RESIDENTIAL", "VPN", "TOR", "MOBILE"}


def test_some_facts_are_unknown(content: Content) -> None:
    """ASNs, times of enrichment of addresses and of sessions are sometimes NULL."""
    rows = list(content.inventory.values())
    assert 2 <= 100 * sum(fields[1] == r"\N" for fields in rows) / len(rows) <= 4
    assert 4 <= 100 * sum(fields[6] == r"\N" for fields in rows) / len(rows) <= 6
    assert 10 <= content.share(sum(session[5] == r"\N" for session in content.sessions)) <= 20


def test_sessions_reach_over_months_up_to_the_given_time(content: Content) -> None:
    """The first session is 180 days old, the last day has its share, and nothing lies in the future."""
    times = [[datetime.fromisoformat(text) for text in session[1:3]] for session in content.sessions]
    assert times[0][0] == UNTIL.replace(microsecond=0) - timedelta(days=180)
    assert all(first <= last <= UNTIL for first, last in times)
    assert [first for first, _last in times] == sorted(first for first, _last in times)
    assert sum(first > UNTIL - timedelta(days=1) for first, _last in times) == len(times) // 180


def test_an_hour_boundary_is_no_obstacle() -> None:
    """Times are right also when the last session ends with an hour."""
    sessions = Content(dataset(sessions=100, until=datetime(2026, 3, 1, tzinfo=UTC))).sessions
    assert sessions[0][1] == "2025-09-02 00:00:00+00"


def test_production_has_its_number_of_addresses() -> None:
    """The size of the production snapshot comes with its own number of addresses."""
    assert typical_addresses(1_682_827) == 38_864


@pytest.mark.parametrize(("sessions", "addresses"), [(-1, 10), (10, 0), (10, 2**28 + 1)])
def test_impossible_numbers_are_refused(sessions: int, addresses: int) -> None:
    """A size that cannot be generated is refused before anything is written."""
    with pytest.raises(Refused, match=str(addresses)):
        Dataset(sessions=sessions, addresses=addresses, seed=1, until=UNTIL)


@pytest.mark.parametrize(("sessions", "addresses"), [(0, 1), (1, 1), (3, 10), (10, 10), (11, 10)])
def test_small_numbers_are_kept_exactly(sessions: int, addresses: int) -> None:
    """As many sessions as asked for, from different addresses as far as there are enough sessions."""
    content = Content(Dataset(sessions=sessions, addresses=addresses, seed=1, until=UNTIL))
    assert len(content.sessions) == sessions
    assert len(set(content.address_of)) == min(sessions, addresses)
