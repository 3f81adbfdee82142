-- Security hardening of the database that psql is connected to. Needs a superuser: ordinary roles may not set
-- temp_file_limit and the logging thresholds.
--
--     psql -X --single-transaction -f hardening.sql
--
-- Everything is done or nothing, and a second run changes nothing. What stood at database level before is
-- recorded in security_hardening.previous_state, from where hardening_rollback.sql restores it.
-- Settings of a database reach new sessions only; open sessions keep what they began with.

\set ON_ERROR_STOP on

-- Outside of a transaction this is an error, and ends the script before it has changed anything.
savepoint single_transaction_is_required;

set local client_min_messages = warning;

-- Two runs at once: the second waits, and then finds its work done.
do $$ begin perform pg_advisory_xact_lock(hashtext('security_hardening')); end $$;

create schema if not exists security_hardening;

create table if not exists security_hardening.previous_state (
    name text primary key,
    value text,
    recorded_at timestamptz not null default now()
);

comment on table security_hardening.previous_state is
    'What the hardening found at database level; a null value: not set there';

do $$
begin
    if to_regclass('public.security_monitoring') is not null
        and not exists (select from security_hardening.previous_state)
    then
        raise exception 'public.security_monitoring exists already, and not from this migration'
            using hint = 'Rename or drop it first: a rollback could not restore it.';
    end if;
end
$$;

create temporary table hardened_settings (name text primary key, value text not null) on commit drop;

insert into hardened_settings values
    ('statement_timeout', '30s'),
    ('idle_in_transaction_session_timeout', '60s'),
    ('work_mem', '256MB'),
    ('temp_file_limit', '5GB'),
    ('log_min_duration_statement', '1s'),
    ('log_lock_waits', 'on');

insert into security_hardening.previous_state (name, value)
select hardened.name, substr(assignment, length(hardened.name) + 2)
from hardened_settings as hardened
left join (
    select unnest(setconfig) as assignment
    from pg_db_role_setting
    where setrole = 0 and setdatabase = (select oid from pg_database where datname = current_database())
) as previous on split_part(assignment, '=', 1) = hardened.name
union all
select 'connection limit', datconnlimit::text
from pg_database
where datname = current_database()
on conflict (name) do nothing;

select format('alter database %I set %I = %L', current_database(), name, value) from hardened_settings \gexec

-- max_connections belongs to the whole server. This limit is the database's own, and binds all but superusers.
select format('alter database %I connection limit 200', current_database()) \gexec

-- Roles that may not see other sessions' activity get their rows without a state. A filter that drops rows
-- without a state would show such roles an empty view, and empty would look like healthy.
create or replace view public.security_monitoring as
select
    pid,
    usename,
    application_name,
    client_addr,
    state,
    query_start,
    state_change,
    wait_event_type,
    wait_event,
    extract(epoch from clock_timestamp() - query_start)::double precision as query_duration_seconds,
    extract(epoch from clock_timestamp() - state_change)::double precision as state_duration_seconds,
    query
from pg_stat_activity
where
    datname = current_database()
    and coalesce(backend_type, 'client backend') = 'client backend'
    and state is distinct from 'idle';

comment on view public.security_monitoring is
    'Sessions of this database that do something, the reader''s own included: an empty view shows nothing';

revoke all on public.security_monitoring from public;
grant select on public.security_monitoring to pg_monitor;

select previous.name, previous.value as before, coalesce(hardened.value, '200') as after
from security_hardening.previous_state as previous
left join hardened_settings as hardened using (name)
order by name;
