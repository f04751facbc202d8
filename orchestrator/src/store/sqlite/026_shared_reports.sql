-- Reports of sweeps that are over, as they are in the place where hosts share files.
CREATE TABLE report_files (
    sweep_id TEXT NOT NULL REFERENCES sweeps (id),
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (sweep_id, name)
) STRICT;
