-- Brings a rehearsal database back to where the runbook begins, whatever was done to it.

\set ON_ERROR_STOP on

set local client_min_messages = warning;

select format('alter database %I reset all', current_database()) \gexec
select format('alter database %I connection limit -1', current_database()) \gexec

drop view if exists public.security_monitoring;
drop schema if exists security_hardening cascade;
