-- administration/refresh_stale_statistics
SELECT refresh_stale_statistics(make_interval(secs => $1::double precision)) AS is_refreshed
