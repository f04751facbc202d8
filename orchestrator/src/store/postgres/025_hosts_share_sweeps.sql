-- What time it is for leases: this server's, so that hosts whose clocks differ agree about who has what. What a caller
-- takes for now is given, so that a test can let that count instead.
CREATE FUNCTION lease_now(callers BIGINT) RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
    SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000000 AS BIGINT)
$$;

-- Who carries a sweep out, where several processes do, each on its devices.
CREATE TABLE sweep_parts (
    sweep_id TEXT COLLATE "C" NOT NULL REFERENCES sweeps (id),
    holder TEXT COLLATE "C" NOT NULL,
    devices TEXT COLLATE "C" NOT NULL, -- a name a line
    until_ns BIGINT NOT NULL, -- 0: it was given back
    PRIMARY KEY (sweep_id, holder)
);
CREATE INDEX held_parts ON sweep_parts (holder) WHERE until_ns > 0;

-- No more jobs of these sweeps are started, on no host.
CREATE TABLE sweep_halts (
    sweep_id TEXT COLLATE "C" PRIMARY KEY REFERENCES sweeps (id),
    why TEXT COLLATE "C" NOT NULL
);
