-- diagnosis/tenants_in_keys
-- Unique and foreign keys of tenants' tables that leave the tenant out: they tell one tenant of another's rows.
SELECT i.indexrelid::regclass::text AS subject, 'a unique index without the tenant' AS detail
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
WHERE i.indisunique AND a.attnum <> ALL (i.indkey[0:i.indnkeyatts - 1])
UNION ALL
SELECT k.conname, 'a foreign key without the tenant'
FROM pg_constraint k
JOIN pg_attribute ours ON ours.attrelid = k.conrelid AND ours.attname = 'tenant_id' AND NOT ours.attisdropped
JOIN pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attname = 'tenant_id' AND NOT theirs.attisdropped
WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace
  AND NOT EXISTS (SELECT FROM unnest(k.conkey, k.confkey) AS pair (our, their)
                  WHERE pair.our = ours.attnum AND pair.their = theirs.attnum)
ORDER BY 1
