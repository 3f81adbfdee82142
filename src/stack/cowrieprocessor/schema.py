"""The session database as it is in the field before the snapshot migration (schema version 16).

Two things differ from the field on purpose. There is no foreign key from ``session_summaries.source_ip`` to
``ip_inventory``: it would forbid what the runbook expects of a complete backfill, every session with its
address although some addresses have no inventory row. And an unknown country is NULL, not a sentinel ``XX``
that counts as covered.
"""

from __future__ import annotations

from typing import Final

VERSION_BEFORE: Final = "16"
VERSION_AFTER: Final = "17"

TABLES: Final = """
create table schema_state (
    key text primary key,
    value text not null
);
create table asn_inventory (
    asn_number integer primary key,
    organization_name text,
    organization_country varchar(2),
    is_known_hosting boolean not null
);
create table ip_inventory (
    ip_address varchar(45) primary key,
    current_asn integer references asn_inventory,
    geo_country varchar(2) generated always as ((enrichment -> 'maxmind' ->> 'country')::varchar(2)) stored,
    ip_types text[],
    is_scanner boolean not null,
    is_bogon boolean not null,
    enrichment jsonb,
    enrichment_updated_at timestamptz
);
create table session_summaries (
    session_id text not null,
    first_event_at timestamptz not null,
    last_event_at timestamptz not null,
    event_count integer not null,
    source_ip varchar(45),
    enrichment jsonb,
    enrichment_at timestamptz,
    snapshot_asn integer,
    snapshot_country varchar(2)
        constraint session_summaries_snapshot_country_check check (snapshot_country ~ '^[A-Z]{2}$'),
    snapshot_ip_types text[]
);
"""

# Created after the rows are loaded, which halves the time.
INDEXES: Final = """
alter table session_summaries add constraint session_summaries_pkey primary key (session_id);
create index idx_session_source_ip on session_summaries (source_ip);
create index idx_session_snapshot_asn on session_summaries (snapshot_asn);
create index idx_session_snapshot_country on session_summaries (snapshot_country);
"""
