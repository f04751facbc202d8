-- The hosts that share the lab: each is what its daemon registers. Times are those of this server, whatever the clocks
-- of the hosts say.
CREATE TABLE hosts (
    name             TEXT COLLATE "C" PRIMARY KEY,
    machine          TEXT NOT NULL,
    process          TEXT NOT NULL,
    version          TEXT NOT NULL,
    state            TEXT NOT NULL,
    state_by         TEXT,
    registered_at_ns BIGINT NOT NULL,
    beat_at_ns       BIGINT NOT NULL,
    ended_at_ns      BIGINT,
    devices          BIGINT NOT NULL,
    load_milli       BIGINT NOT NULL,
    cores            BIGINT NOT NULL,
    clock_ahead_ms   BIGINT NOT NULL
);

-- What the farm files of each host declare.
CREATE TABLE declared_devices (
    host        TEXT COLLATE "C" NOT NULL REFERENCES hosts (name),
    device      TEXT COLLATE "C" NOT NULL,
    hash        TEXT NOT NULL,
    declared_at TEXT NOT NULL,
    transport   TEXT NOT NULL,
    declaration TEXT NOT NULL,
    PRIMARY KEY (host, device)
);

CREATE TRIGGER host_steps BEFORE UPDATE OF state ON hosts FOR EACH ROW
WHEN (old.state IS DISTINCT FROM new.state AND (old.state, new.state) NOT IN (
    ('working', 'draining'), ('draining', 'working'), ('working', 'removed'), ('draining', 'removed'),
    ('removed', 'working')))
EXECUTE FUNCTION refuse('no step of a host');
