-- What became of each due time of a schedule. Due times until settled_until_ns have their row, or were none.
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    rule TEXT NOT NULL, -- what makes its due times
    settled_until_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE schedule_starts (
    schedule TEXT NOT NULL REFERENCES schedules (name),
    due_at_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    why TEXT, -- it is left out
    sweep_id TEXT UNIQUE REFERENCES sweeps (id), -- that was begun for it
    settled_at_ns INTEGER NOT NULL,
    PRIMARY KEY (schedule, due_at_ns)
) STRICT;

CREATE TRIGGER schedule_start_steps BEFORE UPDATE OF state ON schedule_starts
WHEN old.state IS NOT new.state AND (old.state, new.state) NOT IN (VALUES
    ('waiting', 'begun'), ('waiting', 'left_out'))
BEGIN SELECT raise(ABORT, 'no step of a due time'); END;
