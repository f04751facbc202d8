-- Times are nanoseconds since 1970 (`_ns`); `job`, `event` and `record` are JSON of the types in `domain`.

CREATE TABLE sweeps (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    started_at_ns INTEGER NOT NULL,
    finished_at_ns INTEGER,
    farmctl_version TEXT NOT NULL
) STRICT;

CREATE TABLE jobs (
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    job_id TEXT NOT NULL,
    position INTEGER NOT NULL, -- in the plan
    device TEXT NOT NULL,
    run_prefix TEXT NOT NULL, -- a run's identifier is this and its attempt
    job TEXT NOT NULL,
    has_record INTEGER NOT NULL DEFAULT 0, -- kept by the trigger below, so that a claim need not look at finished jobs
    PRIMARY KEY (sweep_id, job_id),
    UNIQUE (sweep_id, device, position)
) STRICT;

CREATE INDEX open_jobs ON jobs (sweep_id, device, position) WHERE has_record = 0;

-- A run carries its lease: of the runs of a job only the newest can hold one.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    sweep_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    claimed_at_ns INTEGER NOT NULL,
    lease_epoch INTEGER NOT NULL,
    lease_holder TEXT NOT NULL,
    lease_until_ns INTEGER NOT NULL,
    UNIQUE (sweep_id, job_id, attempt),
    FOREIGN KEY (sweep_id, job_id) REFERENCES jobs (sweep_id, job_id)
) STRICT;

-- No foreign key to jobs: skipped cells have a record and no job.
CREATE TABLE records (
    sequence INTEGER PRIMARY KEY,
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    job_id TEXT NOT NULL,
    run_id TEXT UNIQUE REFERENCES runs (id),
    status TEXT NOT NULL,
    finished_at_ns INTEGER NOT NULL,
    duration_ns INTEGER, -- from start to record, of a run that ended well
    record TEXT NOT NULL,
    UNIQUE (sweep_id, job_id)
) STRICT;

CREATE INDEX records_by_job ON records (job_id, finished_at_ns) WHERE duration_ns IS NOT NULL;

CREATE TRIGGER record_ends_job AFTER INSERT ON records BEGIN
    UPDATE jobs SET has_record = 1 WHERE sweep_id = new.sweep_id AND job_id = new.job_id;
END;

CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    at_ns INTEGER NOT NULL,
    event TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_sweep ON events (sweep_id, sequence);
