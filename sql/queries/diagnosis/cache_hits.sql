-- diagnosis/cache_hits
-- How often a page was found in shared_buffers, over all the time that was counted, where there is enough to judge by.
SELECT d.datname::text AS subject,
       format('%s %% of pages were found in shared_buffers since %s, 95 %% and more are wanted', round(100.0 * d.blks_hit / (d.blks_hit + d.blks_read), 1),
              coalesce(d.stats_reset::date::text, 'counting began')) AS detail
FROM pg_stat_database d
WHERE d.datname = current_database() AND d.blks_hit + d.blks_read > 10000000 AND d.blks_hit < 0.95 * (d.blks_hit + d.blks_read)
