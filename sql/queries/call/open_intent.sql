-- call/open_intent
INSERT INTO call_intents (tenant_id, call_id, user_id, action, resource, started_at, lease, user_agent, ip_address)
VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::text, $6::timestamptz, $7::bigint, $8::text, $9::inet)
-- Sent again where the first answer was lost with its connection, and perhaps the lease.
ON CONFLICT (tenant_id, call_id) DO UPDATE SET lease = excluded.lease
