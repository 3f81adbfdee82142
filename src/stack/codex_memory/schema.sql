-- The memory service's tables and some content, as its database stands before the hardening.

create extension pg_stat_statements;

set role codex_owner;

create table memories (
    id uuid primary key,
    content text not null,
    content_hash text not null unique,
    tier text not null check (tier in ('working', 'warm', 'cold')),
    status text not null default 'active' check (status in ('active', 'migrating', 'archived', 'deleted')),
    importance_score double precision not null check (importance_score between 0 and 1),
    access_count integer not null default 0,
    metadata jsonb not null default '{}',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    last_accessed_at timestamptz
);

create table memory_summaries (
    id bigint generated always as identity primary key,
    memory_id uuid not null references memories on delete cascade,
    level integer not null check (level > 0),
    content text not null,
    created_at timestamptz not null default now()
);

insert into memories
select
    md5('memory ' || n)::uuid,
    format('%s asked for %s on day %s', person, topic, n % 365),
    md5(format('content %s', n)),
    (array['working', 'warm', 'warm', 'cold', 'cold', 'cold'])[1 + n % 6],
    case when n % 97 = 0 then 'archived' else 'active' end,
    (n * 7919 % 1000) / 1000.0,
    n % 23,
    jsonb_build_object('source', (array['chat', 'mail', 'ticket'])[1 + n % 3], 'tokens', 20 + n % 200),
    day,
    day + n % 50 * interval '1 hour',
    case when n % 5 > 0 then day + n % 70 * interval '1 hour' end
from
    generate_series(1, 5000) as n,
    lateral (select timestamptz '2026-01-01 00:00+00' + n % 300 * interval '1 day' as day) as days,
    lateral (
        select
            (array['A customer', 'An operator', 'A colleague', 'A partner'])[1 + n % 4] as person,
            (array['an invoice', 'a report', 'a restart', 'a contract', 'an export'])[1 + n % 5] as topic
    ) as words;

insert into memory_summaries (memory_id, level, content)
select id, 1, left(content, 24)
from memories
where tier = 'cold';

create index memories_tier_importance on memories (tier, importance_score desc);
create index memories_last_accessed on memories (last_accessed_at);
create index memory_summaries_memory on memory_summaries (memory_id);

analyze memories, memory_summaries;

reset role;
