-- Sweeps of schedules that are over and were not compared with others yet. A sweep comes here in the transaction that
-- finishes it, and leaves in the one that keeps what its comparison found.
CREATE TABLE due_comparisons (
    sweep_id TEXT PRIMARY KEY REFERENCES sweeps (id),
    schedule TEXT NOT NULL
) STRICT;

CREATE TRIGGER comparison_is_due AFTER UPDATE OF state ON sweeps
WHEN new.state = 'finished' AND old.state IS NOT 'finished' BEGIN
    INSERT OR IGNORE INTO due_comparisons (sweep_id, schedule)
    SELECT new.id, schedule FROM (
        SELECT coalesce((SELECT t.schedule FROM schedule_starts t WHERE t.sweep_id = new.id),
                        new.definition ->> '$.ordered.schedule') AS schedule)
    WHERE schedule IS NOT NULL;
END;

-- What got slower, once it was found. They stay: what was told once is not told again.
CREATE TABLE regressions (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    against TEXT NOT NULL,
    cell TEXT NOT NULL,
    since TEXT NOT NULL, -- the first sweep that is slower; it may have left
    reference TEXT NOT NULL, -- the sweep that it was compared with
    seen_in TEXT NOT NULL, -- the newest sweep that had it
    found_at_ns INTEGER NOT NULL,
    regression TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX open_regressions ON regressions (against, cell, since) WHERE state = 'open';
CREATE INDEX regressions_by_time ON regressions (found_at_ns);

CREATE TRIGGER regression_steps BEFORE UPDATE OF state ON regressions
WHEN old.state IS NOT new.state AND (old.state, new.state) NOT IN (VALUES ('open', 'gone'), ('open', 'acknowledged'))
BEGIN SELECT raise(ABORT, 'no step of a regression'); END;

-- The sweeps that cells are compared with in place of a baseline's, since a person acknowledged what they take, and
-- those that would be if one did. They stay as long as the baseline is the same.
CREATE VIEW levels_beside_baselines AS
SELECT r.seen_in AS sweep_id, b.name AS baseline, coalesce(r.regression ->> '$.end.by', 'an open alarm') AS kept_by
FROM regressions r JOIN baselines b ON r.against = 'baseline:' || b.name AND r.reference = b.sweep_id
WHERE r.state IN ('open', 'acknowledged');

-- People were told of them up to this event.
ALTER TABLE told ADD COLUMN regressions_until INTEGER NOT NULL DEFAULT 0;
CREATE INDEX compared_sweeps ON events (sequence) WHERE event ->> '$.event' = 'sweep_compared';

-- The runs of a network on one device, by time.
CREATE INDEX run_history_by_model_and_device ON run_history (model, device, at_ns, sequence);
