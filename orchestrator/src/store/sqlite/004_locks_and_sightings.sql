-- A person keeps every sweep off a device until then. A row whose time is over is no lock.
CREATE TABLE device_locks (
    device TEXT PRIMARY KEY,
    locked_by TEXT NOT NULL,
    why TEXT NOT NULL,
    since_ns INTEGER NOT NULL,
    until_ns INTEGER NOT NULL
) STRICT;

-- What was last heard of a device.
CREATE TABLE sightings (
    device TEXT PRIMARY KEY,
    asked_at_ns INTEGER NOT NULL,
    seen_at_ns INTEGER, -- of the last answer
    facts TEXT, -- of the last answer
    free_bytes INTEGER, -- of the last answer
    silent_since_ns INTEGER, -- none while it answers
    failure TEXT -- of the last question, when it was not answered
) STRICT;
