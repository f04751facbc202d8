-- A file is one host's: what time it is for leases, that host says. A store on a server has a function for it.

-- Who carries a sweep out, where several processes do, each on its devices.
CREATE TABLE sweep_parts (
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    holder TEXT NOT NULL,
    devices TEXT NOT NULL, -- a name a line
    until_ns INTEGER NOT NULL, -- 0: it was given back
    PRIMARY KEY (sweep_id, holder)
) STRICT;
CREATE INDEX held_parts ON sweep_parts (holder) WHERE until_ns > 0;

-- No more jobs of these sweeps are started, on no host.
CREATE TABLE sweep_halts (
    sweep_id TEXT PRIMARY KEY REFERENCES sweeps (id),
    why TEXT NOT NULL
) STRICT;
