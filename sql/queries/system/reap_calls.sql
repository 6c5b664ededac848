-- system/reap_calls
SELECT reap_calls() AS reaped
