-- The oldest version of the schema that a program may know to work with this store. The steps themselves write it.
CREATE TABLE works_from (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL
);
