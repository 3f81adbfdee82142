-- Takes back hardening.sql: restores what it recorded, for the database that psql is connected to.
--
--     psql -X --single-transaction -f hardening_rollback.sql
--
-- Without a record nothing can be restored; then this is an error, because a rollback that restores nothing must
-- not look like one that did. New sessions get the restored settings; open sessions keep what they began with.

\set ON_ERROR_STOP on

-- Outside of a transaction this is an error, and ends the script before it has changed anything.
savepoint single_transaction_is_required;

do $$
begin
    perform pg_advisory_xact_lock(hashtext('security_hardening'));
    if to_regclass('security_hardening.previous_state') is null then
        raise exception 'nothing to roll back: no hardening is recorded in database %', current_database()
            using hint = 'Is this the right database, and was hardening.sql applied to it?';
    end if;
end
$$;

select
    case
        when value is null then format('alter database %I reset %I', current_database(), name)
        else format('alter database %I set %I = %L', current_database(), name, value)
    end
from security_hardening.previous_state
where name <> 'connection limit' \gexec

select format('alter database %I connection limit %s', current_database(), value)
from security_hardening.previous_state
where name = 'connection limit' \gexec

select name, coalesce(value, 'not set at database level') as restored
from security_hardening.previous_state
order by name;

drop view public.security_monitoring;
drop table security_hardening.previous_state;
drop schema security_hardening;
