-- documents/lock_usage
-- Takes no chunk number, but the lock under which they are given out and the quota is counted.
SELECT allocate_chunk_numbers($1::uuid, 0) AS next_chunk_no
