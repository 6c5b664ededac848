-- call/complete
SELECT complete_call($1::uuid, $2::timestamptz, $3::boolean, $4::text, $5::text, $6::uuid, $7::jsonb, $8::text, $9::inet, $10::integer)
