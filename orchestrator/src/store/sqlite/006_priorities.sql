-- Of two sweeps that want a device, the one with the higher number has it between jobs.
ALTER TABLE sweeps ADD COLUMN priority INTEGER NOT NULL DEFAULT 1; -- 0: begun by a schedule; 1: by a person, who waits
UPDATE sweeps SET priority = 0 WHERE id IN (SELECT sweep_id FROM schedule_starts);

-- Who waits for a device that somebody else uses. A row whose time is over says nothing: its process is gone.
CREATE TABLE device_wants (
    device TEXT NOT NULL,
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    until_ns INTEGER NOT NULL,
    PRIMARY KEY (device, sweep_id)
) STRICT;
