-- Sweeps that somebody gave to the daemon to carry out.
CREATE TABLE handed_over (
    sweep_id TEXT PRIMARY KEY REFERENCES sweeps (id),
    handed_by TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    max_devices INTEGER NOT NULL -- that are worked on at the same time
) STRICT;

-- Sweeps that stay, whatever the rules of retention say.
CREATE TABLE pinned_sweeps (
    sweep_id TEXT PRIMARY KEY REFERENCES sweeps (id),
    pinned_by TEXT NOT NULL,
    at_ns INTEGER NOT NULL
) STRICT;
