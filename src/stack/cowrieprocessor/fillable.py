"""What a backfill would fill, in SQL: one definition for counting, for the dry run and for the real one.

Only NULL is filled, nothing is overwritten:

* ``source_ip`` from ``enrichment ->> 'source_ip'``. The runbook's baseline has it NULL in every session, and
  a tool that selects sessions *with* an address finds nothing to do there;
* ``snapshot_asn``, ``snapshot_country``, ``snapshot_ip_type`` (the first of the inventory's types) and
  ``enrichment_at`` from the address's row of ``ip_inventory``. NULL means unknown: a sentinel ``XX``, with
  which coverage would always be complete, is not copied.

A session without an inventory row gets its address, and then lacks nothing that could be filled.
"""

from __future__ import annotations

from typing import Final

from psycopg import sql

FILLABLE: Final = sql.SQL("""
    select s.session_id, fill.*
    from session_summaries as s
    cross join lateral (select coalesce(s.source_ip, s.enrichment ->> 'source_ip') as address) as origin
    left join ip_inventory as i on i.ip_address = origin.address
    cross join lateral (
        select
            case when s.source_ip is null then origin.address end as source_ip,
            case when s.snapshot_asn is null then i.current_asn end as snapshot_asn,
            case when s.snapshot_country is null then nullif(i.geo_country, 'XX') end as snapshot_country,
            case when s.snapshot_ip_type is null
                then i.ip_types[array_lower(i.ip_types, 1)] end as snapshot_ip_type,
            case when s.enrichment_at is null then i.enrichment_updated_at end as enrichment_at
    ) as fill
    where num_nonnulls(fill.source_ip, fill.snapshot_asn, fill.snapshot_country, fill.snapshot_ip_type,
                       fill.enrichment_at) > 0
""")

# How many sessions lack something, and the session id before the first of them: one scan.
REMAINING: Final = sql.SQL("""
    with pending as (select count(*) as sessions, min(session_id) as first from ({}) as fillable)
    select sessions,
        coalesce((select max(session_id) from session_summaries where session_id < pending.first), '')
    from pending
""").format(FILLABLE)

# The last session id of the next batch, and the sessions in it.
NEXT_BATCH: Final = sql.SQL("""
    select max(session_id), count(*) from (
        select session_id from session_summaries where session_id > %(after)s
        order by session_id limit %(batch_size)s) as batch
""")

BATCH: Final = sql.SQL("{} and s.session_id > %(after)s and s.session_id <= %(upto)s").format(FILLABLE)

COUNT_BATCH: Final = sql.SQL("""
    select count(*), count(source_ip), count(snapshot_asn), count(snapshot_country), count(snapshot_ip_type),
        count(enrichment_at)
    from ({}) as fillable
""").format(BATCH)

# The lock makes what is recorded and what is written the same, whatever other sessions do.
FILL_BATCH: Final = sql.SQL("""
    with fillable as materialized ({} for update of s),
    recorded as (
        insert into snapshot_backfill_rows as recorded (
            run, session_id, source_ip, snapshot_asn, snapshot_country, snapshot_ip_type, enrichment_at)
        select %(run)s, * from fillable
        on conflict (run, session_id) do update set
            source_ip = coalesce(excluded.source_ip, recorded.source_ip),
            snapshot_asn = coalesce(excluded.snapshot_asn, recorded.snapshot_asn),
            snapshot_country = coalesce(excluded.snapshot_country, recorded.snapshot_country),
            snapshot_ip_type = coalesce(excluded.snapshot_ip_type, recorded.snapshot_ip_type),
            enrichment_at = coalesce(excluded.enrichment_at, recorded.enrichment_at)
    )
    update session_summaries as s set
        source_ip = coalesce(s.source_ip, fillable.source_ip),
        snapshot_asn = coalesce(s.snapshot_asn, fillable.snapshot_asn),
        snapshot_country = coalesce(s.snapshot_country, fillable.snapshot_country),
        snapshot_ip_type = coalesce(s.snapshot_ip_type, fillable.snapshot_ip_type),
        enrichment_at = coalesce(s.enrichment_at, fillable.enrichment_at)
    from fillable where fillable.session_id = s.session_id
""").format(BATCH)

# NULLIF clears what the run wrote, and keeps what somebody else has written since.
UNDO: Final = sql.SQL("""
    with undone as (
        update session_summaries as s set
            source_ip = nullif(s.source_ip, f.source_ip),
            snapshot_asn = nullif(s.snapshot_asn, f.snapshot_asn),
            snapshot_country = nullif(s.snapshot_country, f.snapshot_country),
            snapshot_ip_type = nullif(s.snapshot_ip_type, f.snapshot_ip_type),
            enrichment_at = nullif(s.enrichment_at, f.enrichment_at)
        from snapshot_backfill_rows as f
        where f.run = %(run)s and f.session_id = s.session_id
        returning (f.source_ip is not null and s.source_ip is not null)
            or (f.snapshot_asn is not null and s.snapshot_asn is not null)
            or (f.snapshot_country is not null and s.snapshot_country is not null)
            or (f.snapshot_ip_type is not null and s.snapshot_ip_type is not null)
            or (f.enrichment_at is not null and s.enrichment_at is not null) as has_later_value
    )
    select count(*), count(*) filter (where has_later_value) from undone
""")
