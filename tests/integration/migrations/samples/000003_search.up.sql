SET LOCAL ROLE {owner};
SET LOCAL search_path = notes;
CREATE INDEX notes_updated_at_idx ON notes (updated_at);
CREATE FUNCTION count_notes() RETURNS bigint LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN true THEN count(*) END FROM notes;
END;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    new.updated_at := now();
    RETURN new;
END;
$body$;
CREATE TRIGGER notes_touch BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION touch();
