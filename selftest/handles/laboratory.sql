-- A database with everything that could make a reading statement write.

create schema app;
create schema shadow;
create schema "ev""il";

create table app.facts (id int primary key, label text not null, payload jsonb);
insert into app.facts select n, 'label ' || n, jsonb_build_object('n', n) from generate_series(1, 200) n;
create sequence app.numbers;
create materialized view app.frozen as select * from app.facts;
create view app.facts_view as select * from app.facts;

create role observer login password 'observer';
grant pg_read_all_data, pg_monitor to observer;
create role application login password 'application';
grant usage on schema app to application;
grant select, insert on app.facts to application;

-- Functions: one that writes, ones whose declaration lies, one that hides what it runs, ones that only read.
create function app.write_fact() returns int language plpgsql as
    $$ begin insert into app.facts values (0, 'zero'); return 1; end $$;
create function app.liar() returns bool language sql stable as $$ select pg_cancel_backend(0) $$;
create function app.liar_of_liar() returns bool language plpgsql stable as $$ begin return app.liar(); end $$;
create function app.liar_atomic() returns void language sql stable begin atomic select pg_notify('c', 'x'); end;
create function app.liar_by_default(n bigint default nextval('app.numbers')) returns bigint
    language sql stable as $$ select n $$;
create function app.dynamic() returns int language plpgsql stable as
    $$ begin execute 'select pg_not' || 'ify(''c'', ''x'')'; return 1; end $$;
create function app.reader(lowest int) returns bigint language sql stable as
    $$ select count(*) from app.facts where id >= lowest $$;
create function app.reader_in_plpgsql() returns bigint language plpgsql stable as
    $$ begin return app.reader(1); end $$;
create function app.attribute(app.facts) returns text language plpgsql as
    $$ begin perform pg_notify('c', 'x'); return ''; end $$;
create function app."odd name"() returns int language sql as $$ select 1 $$;
create function app.größe() returns int language sql as $$ select 1 $$;
create function "ev""il".f() returns int language sql as $$ select 1 $$;
create function shadow.now() returns timestamptz language sql as $$ select null::timestamptz $$;
create function app.label() returns trigger language plpgsql as $$ begin return new; end $$;
create function app.cleanup() returns int language sql as $$ select 1 $$;

-- Reached without a function's name.
create view app.loud as select id from app.facts where pg_notify('c', 'x') is null;
create view app.louder as select * from app.loud;
create function app.spaceship(int, int) returns bool language sql as $$ select true $$;
create operator app.<=@ (leftarg = int, rightarg = int, function = app.spaceship);
create operator app.@<> (leftarg = int, rightarg = int, function = pg_advisory_lock);
create domain app.checked as int check (app.spaceship(value, 1));
create type app.pair as (x int, y int);
create function app.to_number(app.pair) returns int language sql as $$ select 1 $$;
create cast (app.pair as int) with function app.to_number(app.pair);
create table app.pairs (pair app.pair);
create function app.step(int, int) returns int language sql as $$ select 1 $$;
create aggregate app.total(int) (sfunc = app.step, stype = int);
create table app.guarded (a int);
alter table app.guarded enable row level security;
create policy watch on app.guarded using (app.write_fact() = 1);
create table app.parent (a int);

-- Harmless things of the same kinds.
create function app.same(app.pair, app.pair) returns bool language sql immutable as
    $$ select ($1).x = ($2).x $$;
create domain app.positive as int check (value > 0);
create table app.ranked (a app.positive, b int);
insert into app.ranked values (1, 2);

create extension citext;
create extension hstore;
create extension pg_trgm;
create extension dblink;
create extension tablefunc;
create extension postgres_fdw;
create extension pg_stat_statements;
create server elsewhere foreign data wrapper postgres_fdw;
create foreign table app.away (a int) server elsewhere;
create foreign table app.away_child () inherits (app.parent) server elsewhere;

-- Tables of kinds that cannot be sampled, and an empty one that can.
create table app.parent_of_none (a int);
create table app.parent_of_one (a int);
create table app.child () inherits (app.parent_of_one);
create table app.partitioned (a int) partition by range (a);
