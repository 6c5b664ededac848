-- maintenance/fresh_index_is_bloated
-- Pages that a bulk load left empty stay the index's for good. A row takes about 50 bytes of it; those that there are were counted by
-- the last VACUUM.
SELECT pg_indexes_size('fresh_postings') > greatest(131072, 512 * reltuples) AS is_bloated
FROM pg_class WHERE oid = 'fresh_postings'::regclass
