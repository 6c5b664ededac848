-- backup/database
-- What a dump leaves out of a database: its name, owner and place in the server.
SELECT d.datname::text AS name, pg_get_userbyid(d.datdba)::text AS owner, pg_encoding_to_char(d.encoding)::text AS encoding,
       d.datcollate::text AS lc_collate, d.datctype::text AS lc_ctype,
       CASE d.datlocprovider WHEN 'b' THEN 'builtin' WHEN 'i' THEN 'icu' ELSE 'libc' END AS provider,
       -- Renamed in PostgreSQL 17.
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
       d.datconnlimit AS connection_limit
FROM pg_database d WHERE d.datname = $1::text
