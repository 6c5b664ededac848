SET LOCAL ROLE bailiwick_owner;
DROP FUNCTION hybrid_search(uuid, text, vector, integer, double precision, double precision);
DROP FUNCTION block_postings(bytea, text);
