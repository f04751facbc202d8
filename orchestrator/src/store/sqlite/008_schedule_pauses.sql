-- A person paused a schedule: it starts nothing until somebody resumes it.
CREATE TABLE schedule_pauses (
    schedule TEXT PRIMARY KEY,
    paused_by TEXT NOT NULL,
    since_ns INTEGER NOT NULL
) STRICT;
