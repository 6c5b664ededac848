SET LOCAL ROLE {owner};
SET LOCAL search_path = notes;
DROP TRIGGER notes_touch ON notes;
DROP FUNCTION touch();
DROP FUNCTION count_notes();
DROP INDEX notes_updated_at_idx;
