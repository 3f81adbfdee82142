"""Generated sessions and addresses: realistic in their distribution, the same for the same seed.

Nothing is drawn at random. Attributes of addresses come from low-discrepancy sequences and session ids from a
bijection of 48-bit numbers, so shares stay near their nominal values for every seed and size, ids never
collide, and the data do not depend on any library's random numbers.

The distribution, counted in addresses; the sessions follow within a percent or so:

* sessions per address are heavily skewed: the busiest address has about 1 % of them, most have few;
* 1.6 % of the addresses have no inventory row and 1 % a row without a country, but not the busiest: a
  complete backfill covers about 98 % of the sessions, never all;
* of the inventory rows 3 % have no ASN, 3 % no type, and 5 % were never enriched;
* 16 % of the addresses are in China, where most are residential, as in all countries of access networks.

Addresses are from 240.0.0.0/4 and ASNs from the range for private use, so no real host or network is named.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from stack.cowrieprocessor.errors import Refused

Value = TypeVar("Value")

DAYS: Final = 180
HOUR: Final = 3600
SECONDS: Final = DAYS * 24 * HOUR

# The busiest addresses have always been looked up; of the others so many have no row, or none with a country.
LOOKED_UP: Final = 0.02
UNLISTED: Final = 0.016
WITHOUT_COUNTRY: Final = 0.01
WITHOUT_ASN: Final = 0.03
NEVER_ENRICHED: Final = 0.05

COUNTRIES: Final = (
    *(("CN", 0.16), ("IN", 0.08), ("RU", 0.08), ("VN", 0.06), ("BR", 0.06), ("ID", 0.05), ("KR", 0.04)),
    *(("TW", 0.03), ("IR", 0.03), ("TH", 0.02), ("MX", 0.02), ("TR", 0.02), ("AR", 0.02), ("UA", 0.02)),
    *(("US", 0.11), ("DE", 0.04), ("NL", 0.04), ("SG", 0.03), ("HK", 0.03), ("GB", 0.02), ("FR", 0.02)),
    *(("BG", 0.01), ("CA", 0.01)),
)
HOSTING_COUNTRIES: Final = frozenset({"US", "DE", "NL", "SG", "HK", "GB", "FR", "BG", "CA"})

TYPES_OF_ACCESS_NETWORKS: Final = (
    *(("{RESIDENTIAL}", 0.48), ("{RESIDENTIAL,PROXY}", 0.07), ("{DATACENTER}", 0.15)),
    *(("{DATACENTER,VPN}", 0.06), ("{MOBILE}", 0.12), ("{VPN}", 0.06), ("{TOR}", 0.03), ("{}", 0.03)),
)
TYPES_OF_HOSTING: Final = (
    *(("{DATACENTER}", 0.49), ("{DATACENTER,VPN}", 0.11), ("{DATACENTER,PROXY,VPN}", 0.04)),
    *(("{VPN}", 0.10), ("{TOR}", 0.07), ("{TOR,VPN}", 0.02), ("{RESIDENTIAL}", 0.14), ("{}", 0.03)),
)

FIRST_ASN: Final = 64_512
ASNS_PER_COUNTRY: Final = 16

# The multiples of an irrational number fill [0, 1) evenly, those of several fill the cube evenly.
GOLDEN_RATIO: Final = (math.sqrt(5) - 1) / 2
SQRT2, SQRT3, SQRT7, SQRT11, SQRT13 = (math.sqrt(square) for square in (2, 3, 7, 11, 13))

ADDRESS_BITS: Final = 28
SESSION_ID_MASK: Final = (1 << 48) - 1
NULL: Final = r"\N"


@dataclass(frozen=True)
class Dataset:
    """What to generate.

    Attributes:
        sessions: number of sessions.
        addresses: number of different source addresses; each has a session if there are enough.
        seed: another seed gives other ids and addresses with the same distribution.
        until: the last session ends about then, the first begins 180 days before.

    Raises:
        Refused: the numbers do not go together.
    """

    sessions: int
    addresses: int
    seed: int
    until: datetime

    def __post_init__(self) -> None:
        if self.sessions < 0 or not 1 <= self.addresses <= 1 << ADDRESS_BITS:
            raise Refused(
                "generated sessions",
                got=f"{self.sessions} sessions from {self.addresses} addresses",
                expected=f"0 sessions or more, from 1 to {1 << ADDRESS_BITS:,} addresses",
                next_step="Ask for other numbers.",
            )

    def asn_rows(self) -> Iterator[str]:
        """Lines for COPY: asn_number, organization_name, organization_country, is_known_hosting."""
        for number, (country, _share) in enumerate(COUNTRIES):
            for asn in range(ASNS_PER_COUNTRY):
                hosting = "t" if country in HOSTING_COUNTRIES else "f"
                yield f"{_asn(number, asn)}\tNetwork {asn + 1} of {country}\t{country}\t{hosting}\n"

    def inventory_rows(self) -> Iterator[str]:
        """Lines for COPY: ip_address, current_asn, ip_types, is_scanner, is_bogon, enrichment, its time.

        Rows are as wide as in the field (about 1.2 kB), because the time of a join depends on it.
        """
        countries = _Shares([(number, share) for number, (_country, share) in enumerate(COUNTRIES)])
        access, hosting = _Shares(TYPES_OF_ACCESS_NETWORKS), _Shares(TYPES_OF_HOSTING)
        start = _constant(self.seed, "attributes")
        timestamps = _Timestamps(self.until)
        for rank, address in enumerate(self._addresses()):
            position = start + rank
            known = 1.0 if rank < self.addresses * LOOKED_UP else position * SQRT2 % 1
            if known < UNLISTED:
                continue
            number = countries.at(position * GOLDEN_RATIO % 1)
            country = COUNTRIES[number][0]
            types = (hosting if country in HOSTING_COUNTRIES else access).at(position * SQRT3 % 1)
            network = position * SQRT7 % 1
            # Squared twice: half of a country's addresses are in one network.
            asn = _asn(number, int(ASNS_PER_COUNTRY * ((network - WITHOUT_ASN) / (1 - WITHOUT_ASN)) ** 4))
            enriched = position * SQRT11 % 1
            yield (
                "\t".join(
                    (
                        address,
                        NULL if network < WITHOUT_ASN else str(asn),
                        types,
                        "t" if position * SQRT13 % 1 < 0.2 else "f",  # noqa: PLR2004 - a fifth scans on purpose
                        "f",
                        _enrichment(address, None if known < UNLISTED + WITHOUT_COUNTRY else country, asn),
                        NULL if enriched < NEVER_ENRICHED else timestamps.at(int(enriched * SECONDS)),
                    )
                )
                + "\n"
            )

    def session_rows(self) -> Iterator[str]:
        """Lines for COPY in the order of time: session_id, first_event_at, last_event_at, event_count, ...

        ... enrichment, enrichment_at. The address stands in enrichment -> 'source_ip' only.
        """
        count = self.sessions
        rank_of = self._ranks()
        enrichment = [
            f'{{"source_ip": "{address}", "dshield": {{"count": {rank * 31 % 997}, "attacks": {rank % 41}}}}}'
            for rank, address in enumerate(self._addresses())
        ]
        stride = _coprime(int(count * GOLDEN_RATIO), count)
        start = _constant(self.seed, "sessions")
        timestamp = _Timestamps(self.until).at
        for number in range(count):
            session_id = _scatter(start + number)
            begin = number * SECONDS // count
            end = min(begin + session_id % 599, SECONDS)
            enriched = session_id % 7
            yield (
                f"{session_id:012x}\t{timestamp(begin)}\t{timestamp(end)}\t{1 + session_id % 61}\t"
                f"{enrichment[rank_of[(start + number * stride) % count]]}\t"
                f"{timestamp(min(end + enriched * HOUR, SECONDS)) if enriched else NULL}\n"
            )

    def _addresses(self) -> Iterator[str]:
        """Every address, the busiest first."""
        mask = (1 << ADDRESS_BITS) - 1
        factor = _constant(self.seed, "address factor") | 1
        start = _constant(self.seed, "address")
        for rank in range(self.addresses):
            host = (start + rank * factor) & mask
            yield f"{240 + (host >> 24)}.{host >> 16 & 255}.{host >> 8 & 255}.{host & 255}"

    def _ranks(self) -> array[int]:
        """Of each session the rank of its address; shape (sessions,), ascending."""
        flat = 10 + self.addresses / 1000
        weights = list(itertools.accumulate((rank + flat) ** -1.1 for rank in range(self.addresses)))
        spare = max(0, self.sessions - self.addresses) / weights[-1]
        ranks = array("i")
        done = 0
        for rank, weight in enumerate(weights):
            target = min(rank + 1 + round(spare * weight), self.sessions)
            ranks.extend(itertools.repeat(rank, target - done))
            done = target
        return ranks


class _Shares(Generic[Value]):
    """Values that divide [0, 1) among themselves by their shares."""

    def __init__(self, shares: list[tuple[Value, float]] | tuple[tuple[Value, float], ...]) -> None:
        self._values = [value for value, _share in shares]
        self._bounds = list(itertools.accumulate(share for _value, share in shares))

    def at(self, position: float) -> Value:
        return self._values[min(bisect.bisect_right(self._bounds, position), len(self._values) - 1)]


class _Timestamps:
    """Seconds since the first session as text; looked up, because formatting would double the load time."""

    def __init__(self, until: datetime) -> None:
        begin = until.astimezone(UTC).replace(microsecond=0) - timedelta(seconds=SECONDS)
        hour = begin.replace(minute=0, second=0)
        self._offset = (begin - hour).seconds
        self._hours = [f"{hour + timedelta(hours=number):%Y-%m-%d %H}" for number in range(DAYS * 24 + 2)]
        self._seconds = [f":{second // 60:02d}:{second % 60:02d}+00" for second in range(HOUR)]

    def at(self, seconds: int) -> str:
        hour, second = divmod(self._offset + seconds, HOUR)
        return self._hours[hour] + self._seconds[second]


def _constant(seed: int, purpose: str) -> int:
    """A 32-bit number that depends on seed and purpose only."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:4])


def _scatter(number: int) -> int:
    """A bijection of the 48-bit numbers whose values look random."""
    number = number * 0x9E3779B97F4B & SESSION_ID_MASK
    number ^= number >> 23
    number = number * 0x2545F4914F6D & SESSION_ID_MASK
    return number ^ number >> 25


def _coprime(least: int, count: int) -> int:
    """The least number from ``least`` on whose multiples meet every residue of ``count``."""
    return next(number for number in itertools.count(max(least, 1)) if math.gcd(number, count) == 1)


def _asn(country_number: int, network: int) -> int:
    return FIRST_ASN + country_number * ASNS_PER_COUNTRY + network


def _enrichment(address: str, country: str | None, asn: int) -> str:
    """What the enrichment services say about an address, as JSON."""
    quoted = "null" if country is None else f'"{country}"'
    last = int(address.rsplit(".", 1)[1])
    return (
        f'{{"maxmind": {{"country": {quoted}, "city": "City {last % 40}", "latitude": {last / 4 - 31:.4f}, '
        f'"longitude": {last / 2 - 63:.4f}, "accuracy_radius": {5 * (1 + last % 200)}, "time_zone": "UTC"}}, '
        f'"cymru": {{"asn": {asn}, "prefix": "{address}/20", "registry": "registry {last % 5}", '
        f'"allocated": "20{last % 20 + 5:02d}-07-01", "as_name": "NETWORK-{asn}"}}, '
        f'"dshield": {{"ip": {{"number": "{address}", "count": {last * 37 % 9973}, "attacks": {last % 89}, '
        f'"maxdate": "2025-10-{last % 28 + 1:02d}", "mindate": "2025-04-{last % 30 + 1:02d}", "network": '
        f'"{address}/20", "asabusecontact": "abuse@network-{asn}.example", "comment": null, "threatfeeds": '
        f'{{"blocklist": {{"firstseen": "2025-06-{last % 30 + 1:02d}", "lastseen": "2025-10-01"}}, '
        f'"ciarmy": {{"firstseen": "2025-07-{last % 30 + 1:02d}", "lastseen": "2025-10-02"}}}}}}}}, '
        f'"greynoise": {{"noise": {"true" if last % 3 else "false"}, "riot": false, "classification": '
        f'"{"malicious" if last % 2 else "unknown"}", "name": "unknown", "message": "Success"}}, '
        f'"spur": {{"as": {{"number": {asn}, "organization": "Network {asn}"}}, "client": {{"behaviors": '
        f'["FILE_SHARING", "LOGIN"], "concentration": {{"density": 0.{last:03d}, "skew": {last * 7}}}, '
        f'"count": {last % 17}, "proxies": [], "types": ["DESKTOP", "HEADLESS"]}}, "infrastructure": '
        f'"network {last % 9}", "risks": ["CALLBACK_PROXY", "LOGIN_BRUTEFORCE"], "services": ["SSH"]}}}}'
    )
