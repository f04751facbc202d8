-- Sweeps that others are compared with, by a name that people chose. They stay, whatever the rules of retention say.
CREATE TABLE baselines (
    name TEXT PRIMARY KEY,
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    set_by TEXT NOT NULL,
    at_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX baselines_by_sweep ON baselines (sweep_id);
