SET LOCAL ROLE {owner};
DROP TABLE notes.notes;
