-- The last look at the host's clock that was believed: one row, once there was one.
CREATE TABLE believed_clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    wall_ns INTEGER NOT NULL,
    since_boot_ns INTEGER NOT NULL,
    boot TEXT NOT NULL,
    last_event INTEGER NOT NULL -- events behind it were written since
) STRICT;

-- People were told of the clock up to this event.
ALTER TABLE told ADD COLUMN clock_until INTEGER NOT NULL DEFAULT 0;
CREATE INDEX clock_events ON events (sequence)
    WHERE event ->> '$.event' IN ('clock_jumped', 'clock_believed');
