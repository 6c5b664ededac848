-- maintenance/note_lengths
-- Puts lengths into their places of the segments; what is there and not among them stays.
INSERT INTO chunk_segments AS s (tenant_id, segment_no, lengths)
SELECT $1::uuid, place.segment_no,
       array_agg(coalesce(new.length, old.lengths[place.at + 1], 0) ORDER BY place.at)
FROM (SELECT segment_no, at FROM (SELECT DISTINCT chunk_no / 1024 AS segment_no FROM unnest($2::integer[]) AS chunk_no) AS touched,
             generate_series(0, 1023) AS at) AS place
LEFT JOIN unnest($2, $3::integer[]) AS new (chunk_no, length) ON new.chunk_no = place.segment_no * 1024 + place.at
LEFT JOIN chunk_segments old ON old.tenant_id = $1 AND old.segment_no = place.segment_no
GROUP BY place.segment_no
ON CONFLICT (tenant_id, segment_no) DO UPDATE SET lengths = excluded.lengths
