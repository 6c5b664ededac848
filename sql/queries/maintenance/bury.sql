-- maintenance/bury
INSERT INTO chunk_tombstones (tenant_id, chunk_no) SELECT $1::uuid, unnest($2::integer[]) ON CONFLICT DO NOTHING
