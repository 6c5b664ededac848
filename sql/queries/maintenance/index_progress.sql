-- maintenance/index_progress
SELECT phase, tuples_done, tuples_total FROM pg_stat_progress_create_index WHERE datname = current_database() AND pid = $1::integer
