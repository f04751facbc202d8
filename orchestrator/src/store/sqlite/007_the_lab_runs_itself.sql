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

-- Who was told of what: of sweeps that are over, and of quarantines up to an event. What was before is nobody's news.
ALTER TABLE sweeps ADD COLUMN is_told INTEGER NOT NULL DEFAULT 0;
UPDATE sweeps SET is_told = 1 WHERE finished_at_ns IS NOT NULL;
CREATE TABLE told (quarantines_until INTEGER NOT NULL) STRICT; -- one row
INSERT INTO told (quarantines_until) SELECT coalesce(max(sequence), 0) FROM events;
CREATE INDEX quarantines ON events (sequence) WHERE event ->> '$.event' = 'device_quarantined';
