SET LOCAL ROLE {owner};

CREATE TABLE notes.notes (
    id bigint CONSTRAINT notes_pkey PRIMARY KEY,
    body text NOT NULL CONSTRAINT notes_body_not_empty CHECK (body <> ''),
    updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE notes.notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY notes_read ON notes.notes FOR SELECT USING (id > 0);
GRANT SELECT ON notes.notes TO {app};
DO $$
BEGIN
    EXECUTE format(
        'ALTER TABLE notes.notes ADD COLUMN dimensions integer DEFAULT %s',
        coalesce(nullif(current_setting('bailiwick.embedding_dimensions', true), ''), '1536')
    );
END
$$;
COMMENT ON TABLE notes.notes IS 'Notes; with a semicolon.';
