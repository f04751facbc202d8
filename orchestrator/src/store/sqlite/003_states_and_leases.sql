-- Sweeps, jobs, runs and devices say what they are. What may follow what is written down in domain/state.rs; the
-- triggers here refuse everything else.

-- This lab, as devices remember its leases.
CREATE TABLE lab (id TEXT NOT NULL) STRICT;
INSERT INTO lab (id) VALUES (lower(hex(randomblob(8))));

ALTER TABLE sweeps ADD COLUMN state TEXT NOT NULL DEFAULT 'open';
ALTER TABLE sweeps ADD COLUMN definition TEXT; -- what it takes to go on; none in sweeps that an older version began
-- The lease of the process that carries it out.
ALTER TABLE sweeps ADD COLUMN lease_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sweeps ADD COLUMN lease_holder TEXT;
ALTER TABLE sweeps ADD COLUMN lease_until_ns INTEGER NOT NULL DEFAULT 0;
UPDATE sweeps SET state = 'finished' WHERE finished_at_ns IS NOT NULL;

CREATE TRIGGER sweep_steps BEFORE UPDATE OF state ON sweeps
WHEN old.state IS NOT new.state AND (old.state, new.state) NOT IN (VALUES
    ('open', 'cancelling'), ('open', 'finished'), ('cancelling', 'cancelled'))
BEGIN SELECT raise(ABORT, 'no step of a sweep'); END;

-- The runners that a sweep measures with: those of one sweep are the same from its first run to its last.
CREATE TABLE sweep_runners (
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    target TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (sweep_id, target)
) STRICT;

DROP TRIGGER record_ends_job;
DROP INDEX open_jobs;
ALTER TABLE jobs ADD COLUMN state TEXT NOT NULL DEFAULT 'waiting';
ALTER TABLE jobs ADD COLUMN not_before_ns INTEGER NOT NULL DEFAULT 0; -- no attempt is begun earlier
UPDATE jobs SET state = CASE
    WHEN has_record THEN 'recorded'
    WHEN EXISTS (SELECT 1 FROM runs r WHERE r.sweep_id = jobs.sweep_id AND r.job_id = jobs.job_id) THEN 'running'
    ELSE 'waiting' END;
ALTER TABLE jobs DROP COLUMN has_record;
CREATE INDEX open_jobs ON jobs (sweep_id, device, position) WHERE state <> 'recorded';

CREATE TRIGGER job_steps BEFORE UPDATE OF state ON jobs
WHEN old.state IS NOT new.state AND (old.state, new.state) NOT IN (VALUES
    ('waiting', 'running'), ('running', 'waiting'), ('running', 'recorded'), ('waiting', 'recorded'))
BEGIN SELECT raise(ABORT, 'no step of a job'); END;

ALTER TABLE runs ADD COLUMN state TEXT NOT NULL DEFAULT 'live';
ALTER TABLE runs ADD COLUMN ended_at_ns INTEGER;
ALTER TABLE runs ADD COLUMN failure TEXT; -- why it was given back
ALTER TABLE runs ADD COLUMN counts INTEGER NOT NULL DEFAULT 1; -- 0: its host gave it up, which says nothing of the job
UPDATE runs SET state = 'recorded' WHERE id IN (SELECT run_id FROM records);
-- Of the other runs of a job only the newest can still be under way.
UPDATE runs SET state = 'given_back', counts = 0 WHERE state = 'live' AND (
    EXISTS (SELECT 1 FROM records c WHERE c.sweep_id = runs.sweep_id AND c.job_id = runs.job_id)
    OR EXISTS (SELECT 1 FROM runs n WHERE n.sweep_id = runs.sweep_id AND n.job_id = runs.job_id
               AND n.attempt > runs.attempt));
CREATE UNIQUE INDEX live_runs ON runs (sweep_id, job_id) WHERE state = 'live';

CREATE TRIGGER run_steps BEFORE UPDATE OF state ON runs
WHEN old.state IS NOT new.state AND (old.state, new.state) NOT IN (VALUES
    ('live', 'recorded'), ('live', 'given_back'))
BEGIN SELECT raise(ABORT, 'no step of a run'); END;

-- A record is immutable, and so is what happened.
CREATE TRIGGER records_stay BEFORE UPDATE ON records BEGIN SELECT raise(ABORT, 'a record never changes'); END;

CREATE TABLE devices (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL DEFAULT 'in_service',
    since_ns INTEGER NOT NULL, -- in this state
    failures_in_row INTEGER NOT NULL DEFAULT 0,
    quarantines_in_row INTEGER NOT NULL DEFAULT 0, -- without a run that ended well between them
    failure TEXT, -- the last one
    probe_at_ns INTEGER -- of a quarantined device: the next health probe
) STRICT;

CREATE TRIGGER device_steps BEFORE UPDATE OF state ON devices
WHEN old.state IS NOT new.state AND (old.state, new.state) NOT IN (VALUES
    ('in_service', 'quarantined'), ('quarantined', 'in_service'))
BEGIN SELECT raise(ABORT, 'no step of a device'); END;

-- Who uses a device. A row stays when its lease ends: epochs only grow.
CREATE TABLE device_leases (
    device TEXT PRIMARY KEY, -- its name, or «phone » and its identity
    epoch INTEGER NOT NULL,
    holder TEXT NOT NULL,
    sweep_id TEXT,
    until_ns INTEGER NOT NULL
) STRICT;

-- Events may be about a device alone.
CREATE TABLE all_events (
    sequence INTEGER PRIMARY KEY,
    sweep_id TEXT REFERENCES sweeps (id),
    device TEXT,
    at_ns INTEGER NOT NULL,
    event TEXT NOT NULL
) STRICT;
INSERT INTO all_events (sequence, sweep_id, device, at_ns, event)
    SELECT sequence, sweep_id, event ->> 'device', at_ns, event FROM events;
DROP TABLE events;
ALTER TABLE all_events RENAME TO events;
CREATE INDEX events_by_sweep ON events (sweep_id, sequence);
CREATE INDEX events_by_device ON events (device, sequence) WHERE device IS NOT NULL;
