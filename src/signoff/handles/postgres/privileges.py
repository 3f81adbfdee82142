"""What credentials could write, whatever this run does with them."""

from __future__ import annotations

from typing import Final

QUERY: Final = """
WITH me AS (
    SELECT r.* FROM pg_roles r WHERE pg_has_role(r.oid, 'MEMBER')
), attributes(privilege) AS (
    SELECT 'superuser' FROM me WHERE rolsuper
    UNION ALL SELECT 'CREATEDB' FROM me WHERE rolcreatedb
    UNION ALL SELECT 'CREATEROLE' FROM me WHERE rolcreaterole
    UNION ALL SELECT 'REPLICATION' FROM me WHERE rolreplication
    UNION ALL SELECT 'membership in ' || rolname FROM me
        WHERE rolname IN ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program',
            'pg_signal_backend', 'pg_signal_autovacuum_worker', 'pg_checkpoint', 'pg_maintain',
            'pg_create_subscription')
), grants(privilege, object) AS (
    SELECT p, 'database ' || current_database()
    FROM unnest(ARRAY['CREATE', 'TEMPORARY']) p WHERE has_database_privilege(current_database(), p)
    UNION ALL
    SELECT 'CREATE', 'schema ' || n.nspname
    FROM pg_namespace n
    WHERE n.nspname !~ '^pg_(temp|toast_temp)_' AND has_schema_privilege(n.oid, 'CREATE')
    UNION ALL
    -- An update of pg_settings is SET, which everybody may do.
    SELECT p, 'table ' || c.oid::regclass
    FROM pg_class c, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) p
    WHERE c.relkind IN ('r', 'p', 'v', 'f') AND c.oid <> 'pg_catalog.pg_settings'::regclass
        AND c.relnamespace::regnamespace::text !~ '^pg_(temp|toast_temp)_'
        AND CASE WHEN p IN ('INSERT', 'UPDATE') THEN has_any_column_privilege(c.oid, p)
            ELSE has_table_privilege(c.oid, p) END
    UNION ALL
    SELECT p, 'sequence ' || c.oid::regclass
    FROM pg_class c, unnest(ARRAY['USAGE', 'UPDATE']) p
    WHERE c.relkind = 'S' AND has_sequence_privilege(c.oid, p)
    UNION ALL
    SELECT 'EXECUTE', 'security definer function ' || f.oid::regprocedure
    FROM pg_proc f
    WHERE f.oid >= 16384 AND f.prosecdef AND f.provolatile = 'v'
        AND f.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
        AND has_function_privilege(f.oid, 'EXECUTE')
)
SELECT privilege FROM attributes
WHERE privilege = 'superuser' OR NOT EXISTS (SELECT FROM attributes WHERE privilege = 'superuser')
UNION ALL
SELECT privilege || ' on ' || object || CASE WHEN number > 1 THEN ' and ' || number - 1 || ' more' ELSE '' END
FROM (
    SELECT privilege, min(object) AS object, count(*) AS number
    FROM grants GROUP BY privilege, split_part(object, ' ', 1)
) summary
WHERE NOT EXISTS (SELECT FROM attributes WHERE privilege = 'superuser')
ORDER BY 1
"""
"""One line for each kind of privilege that lets the current user write; none for a clean observer.

Of a superuser nothing else is said. Not counted is what every role may do in every database and what a
read-only transaction does not undo either: large objects, notifications, advisory locks.
"""
