-- documents/lock_sources
-- Whoever stores under the same source comes one after the other, so that each sees what the one before has kept. In one order
-- for all, and in the space of two-key locks, where nobody else's are.
SELECT count(*) AS sources
FROM (
    SELECT pg_advisory_xact_lock(hashtext($1::uuid::text), key)
    FROM (SELECT DISTINCT hashtext(source) AS key FROM unnest($2::text[]) AS source WHERE source IS NOT NULL ORDER BY key) AS keys
) AS locked
