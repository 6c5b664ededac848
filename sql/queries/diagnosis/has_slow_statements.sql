-- diagnosis/has_slow_statements
SELECT to_regclass('pg_stat_statements') IS NOT NULL AS is_there
