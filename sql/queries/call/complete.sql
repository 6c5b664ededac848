-- call/complete
SELECT complete_call($1::uuid, $2::boolean, $3::text, $4::text, $5::uuid, $6::jsonb, $7::text, $8::text, $9::text, $10::inet, $11::integer)
