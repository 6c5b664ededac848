-- diagnosis/disabled_triggers
-- Triggers that were switched off: quotas, word index and the guards of the audit trail hang on them.
SELECT t.tgrelid::regclass::text AS subject, format('trigger %I is switched off', t.tgname) AS detail
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid AND c.relnamespace = 'public'::regnamespace
WHERE t.tgenabled IN ('D', 'R')
ORDER BY 1, 2
