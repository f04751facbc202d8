-- Reports of sweeps that are over, as they are in the place where hosts share files.
CREATE TABLE report_files (
    sweep_id TEXT COLLATE "C" NOT NULL REFERENCES sweeps (id),
    name TEXT COLLATE "C" NOT NULL,
    sha256 TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (sweep_id, name)
);
