DROP SCHEMA notes;
DROP OWNED BY {app}, {owner};
DROP ROLE {app};
DROP ROLE {owner};
