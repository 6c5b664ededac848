-- call/close
SELECT coalesce(jsonb_object_agg(c.call_id, c.outcome), '{}') AS ended FROM close_calls($1::jsonb) AS c
