-- The hosts that share the lab: each is what its daemon registers. Times are those of whoever wrote them: one file is
-- used on one machine.
CREATE TABLE hosts (
    name             TEXT PRIMARY KEY,
    machine          TEXT NOT NULL,
    process          TEXT NOT NULL,
    version          TEXT NOT NULL,
    state            TEXT NOT NULL,
    state_by         TEXT,
    registered_at_ns INTEGER NOT NULL,
    beat_at_ns       INTEGER NOT NULL,
    ended_at_ns      INTEGER,
    devices          INTEGER NOT NULL,
    load_milli       INTEGER NOT NULL,
    cores            INTEGER NOT NULL,
    clock_ahead_ms   INTEGER NOT NULL
) STRICT;

-- What the farm files of each host declare.
CREATE TABLE declared_devices (
    host        TEXT NOT NULL REFERENCES hosts (name),
    device      TEXT NOT NULL,
    hash        TEXT NOT NULL,
    declared_at TEXT NOT NULL,
    transport   TEXT NOT NULL,
    declaration TEXT NOT NULL,
    PRIMARY KEY (host, device)
) STRICT;

CREATE TRIGGER host_steps BEFORE UPDATE OF state ON hosts
WHEN old.state IS NOT new.state AND (old.state, new.state) NOT IN (VALUES
    ('working', 'draining'), ('draining', 'working'), ('working', 'removed'), ('draining', 'removed'),
    ('removed', 'working'))
BEGIN SELECT raise(ABORT, 'no step of a host'); END;
