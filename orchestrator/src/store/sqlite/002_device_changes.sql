-- What was changed on devices for measuring. A row is written before its change is made, so that the undo is known
-- whatever happens to the program then.
CREATE TABLE device_changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    identity TEXT NOT NULL, -- of the device, however it is connected
    device TEXT NOT NULL, -- its name then
    setting TEXT NOT NULL,
    previous TEXT NOT NULL, -- what it is set back to
    made_at_ns INTEGER NOT NULL,
    holder TEXT NOT NULL, -- the process that made it
    undone_at_ns INTEGER
) STRICT;

CREATE INDEX open_device_changes ON device_changes (identity, number) WHERE undone_at_ns IS NULL;
