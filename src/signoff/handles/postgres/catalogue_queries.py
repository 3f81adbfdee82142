"""Our questions to the server's catalogue about what a statement can reach.

The parameters, each used by some of them::

    words      all names in a text
    called     names before a parenthesis
    dotted     names after a dot
    text       the text
    odd        whether the text may hold names that are not plain words; those are searched for in it
    schemas    the schemas to search; NULL for all of them
    functions  ids of functions that were reached without a name
    types      ids of types that were reached without a name
    views      ids of views whose definitions are known
    system     whether only objects that initdb made can be reached

Objects with ids below 16384 were made by ``initdb``; PostgreSQL calls that number FirstNormalObjectId.
"""

from __future__ import annotations

from typing import Final

FIRST_NORMAL_OID: Final = 16384

# A schema that the text names is in reach too. The schemas of temporary objects go by an alias.
_IN_REACH: Final = """
    (%(schemas)s::text[] IS NULL OR n.nspname = ANY (%(schemas)s::text[])
        OR position(lower(n.nspname) IN lower(%(text)s)) > 0
        OR position(replace(lower(n.nspname), '"', '""') IN lower(%(text)s)) > 0
        OR left(n.nspname, 8) = 'pg_temp_' AND position('pg_temp' IN lower(%(text)s)) > 0)
"""

_ODD: Final = """
    (%(odd)s AND NAME !~ '^[A-Za-z0-9_$]+$'
        AND (position(NAME IN %(text)s) > 0 OR position(replace(NAME, '"', '""') IN %(text)s) > 0))
"""

# With one argument or with defaults for all others, `row.f` calls `f(row)`.
_AFTER_DOT: Final = """
    (p.proname = ANY (%(dotted)s::text[]::name[])
        AND p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1)
"""

_CALLED: Final = f"(p.proname = ANY (%(called)s::text[]::name[]) OR {_AFTER_DOT})"

BUILT_IN_FUNCTIONS: Final = f"""
SELECT p.proname, bool_or(p.provolatile = 'v')
FROM pg_proc p
WHERE p.oid < 16384 AND p.prokind <> 'p' AND ({_CALLED} OR p.oid = ANY (%(functions)s::text[]::oid[]))
GROUP BY p.proname
"""  # noqa: S608 - put together from the constants above
"""Name, and whether an overload is volatile."""

FUNCTIONS: Final = f"""
WITH wanted AS (
    SELECT p.oid, {_IN_REACH} AND ({_CALLED} OR {_ODD.replace("NAME", "p.proname")}) AS named
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    WHERE p.oid >= 16384 AND p.prokind <> 'p'
        AND NOT (l.lanname = 'plpgsql' AND p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype))
        AND (p.oid = ANY (%(functions)s::text[]::oid[]) OR {_CALLED} OR {_ODD.replace("NAME", "p.proname")})
)
SELECT p.oid::int8, n.nspname, p.proname, NOT w.named, p.provolatile = 'v', p.prokind = 'a', l.lanname,
    (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass
            AND d.objid = p.oid AND d.deptype = 'e'),
    CASE WHEN p.prokind <> 'a' AND l.lanname IN ('sql', 'plpgsql') THEN pg_get_functiondef(p.oid) ELSE '' END,
    ARRAY(SELECT f::oid::int8 FROM pg_aggregate a, unnest(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggcombinefn,
        a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn,
        (SELECT o.oprcode FROM pg_operator o WHERE o.oid = a.aggsortop)]) f
        WHERE a.aggfnoid = p.oid),
    ARRAY(SELECT t::int8 FROM unnest(p.proargtypes::oid[] || p.prorettype || p.proallargtypes) t)
FROM wanted w JOIN pg_proc p ON p.oid = w.oid JOIN pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_language l ON l.oid = p.prolang
WHERE w.named OR w.oid = ANY (%(functions)s::text[]::oid[])
"""  # noqa: S608 - put together from the constants above
"""Functions that ``initdb`` did not make: the attributes of `catalogue.Function`, in order."""

RELATIONS: Final = f"""
WITH RECURSIVE family AS (
    SELECT c.oid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND (c.oid < 16384 OR NOT %(system)s AND {_IN_REACH})
        AND (c.relname = ANY (%(words)s::text[]::name[]) OR {_ODD.replace("NAME", "c.relname")})
  UNION
    SELECT i.inhrelid FROM pg_inherits i JOIN family f ON f.oid = i.inhparent
)
SELECT c.oid::int8, n.nspname, c.relname, c.relkind = 'f',
    concat_ws(E'\\n',
        CASE WHEN c.relkind = 'v' AND c.oid <> ALL (%(views)s::text[]::oid[]) THEN pg_get_viewdef(c.oid) END,
        (SELECT string_agg(pg_get_expr(o.polqual, o.polrelid), E'\\n')
            FROM pg_policy o WHERE o.polrelid = c.oid),
        (SELECT string_agg(pg_get_expr(d.adbin, d.adrelid), E'\\n')
            FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            WHERE d.adrelid = c.oid AND a.attgenerated = 'v')),
    ARRAY(SELECT a.atttypid::int8 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)
FROM family f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
"""  # noqa: S608 - put together from the constants above
"""Relations and what inherits from them: id, schema, name, whether foreign, the SQL in it (of a view, of row
security, of virtual columns), the types of its columns."""

TYPES: Final = f"""
WITH wanted AS (
    SELECT t.*
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.oid >= 16384 AND (t.oid = ANY (%(types)s::text[]::oid[])
        OR {_IN_REACH}
            AND (t.typname = ANY (%(words)s::text[]::name[]) OR {_ODD.replace("NAME", "t.typname")}))
)
SELECT t.oid::int8,
    ARRAY(
        SELECT unnest(ARRAY[t.typelem, t.typbasetype])::int8
        UNION SELECT a.atttypid::int8 FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0
        UNION SELECT r.rngsubtype::int8 FROM pg_range r WHERE r.rngtypid = t.oid
    ),
    coalesce((SELECT string_agg(pg_get_constraintdef(c.oid), E'\\n') FROM pg_constraint c
        WHERE c.contypid = t.oid), ''),
    ARRAY(
        SELECT f::int8 FROM unnest(ARRAY[t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin,
            t.typmodout]::oid[]) f WHERE f >= 16384
        UNION SELECT c.castfunc::int8 FROM pg_cast c WHERE t.oid IN (c.castsource, c.casttarget)
        UNION SELECT o.oprcode::oid::int8 FROM pg_operator o WHERE t.oid IN (o.oprleft, o.oprright)
        UNION SELECT p.amproc::oid::int8 FROM pg_amproc p JOIN pg_opfamily y ON y.oid = p.amprocfamily
            JOIN pg_am m ON m.oid = y.opfmethod
            WHERE m.amname IN ('btree', 'hash') AND t.oid IN (p.amproclefttype, p.amprocrighttype)
        UNION SELECT unnest(ARRAY[r.rngcanonical, r.rngsubdiff])::oid::int8
            FROM pg_range r WHERE r.rngtypid = t.oid
    )
FROM wanted t
"""  # noqa: S608 - put together from the constants above
"""Types that ``initdb`` did not make: id, the types in it, its checks, the functions behind it."""

AMBIENT: Final = """
SELECT o.oprcode::oid::int8
FROM pg_operator o
WHERE o.oid >= 16384
    -- IN, BETWEEN, NULLIF, USING, LIKE, SIMILAR TO and others are operators by another name.
    AND (position(o.oprname IN %(text)s) > 0
        OR o.oprname IN ('=', '<>', '<', '<=', '>', '>=')
        OR o.oprname IN ('~', '!~', '~~', '!~~', '~~*', '!~~*') AND lower(%(text)s) ~ 'like|similar')
    -- An operand that was written without a type becomes whatever the other one asks for.
    AND (o.oprleft < 16384 OR o.oprright < 16384
        OR NOT EXISTS (SELECT FROM pg_operator b WHERE b.oid < 16384 AND b.oprname = o.oprname))
UNION
SELECT c.castfunc::int8
FROM pg_cast c
WHERE c.oid >= 16384 AND c.castsource < 16384 AND (c.casttarget < 16384 OR c.castcontext = 'i')
UNION
SELECT p.amproc::oid::int8
FROM pg_amproc p JOIN pg_opfamily y ON y.oid = p.amprocfamily JOIN pg_am m ON m.oid = y.opfmethod
WHERE p.oid >= 16384 AND m.amname IN ('btree', 'hash')
    AND p.amproclefttype < 16384 AND p.amprocrighttype < 16384
UNION
SELECT o.oprcode::oid::int8
FROM pg_amop a JOIN pg_operator o ON o.oid = a.amopopr JOIN pg_am m ON m.oid = a.amopmethod
WHERE a.oid >= 16384 AND m.amname IN ('btree', 'hash')
    AND a.amoplefttype < 16384 AND a.amoprighttype < 16384
"""
"""Functions that are reached though no name leads to them: behind operators whose symbol is in the text or
that have another name in SQL, behind casts between built-in types or implicit ones from them, and behind
operator classes of built-in types."""
