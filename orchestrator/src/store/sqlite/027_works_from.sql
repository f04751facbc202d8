-- The oldest version of the schema that a program may know to work with this store. The steps themselves write it.
CREATE TABLE works_from (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
