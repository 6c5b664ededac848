-- call/close
SELECT call_id, outcome FROM close_calls($1::jsonb)
