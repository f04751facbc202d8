-- What is asked for is a column or a table. No statement looks into JSON any more, so that each is the same in every
-- database; whoever writes a row says what its columns are. Rows that are no JSON are left without.

-- Events: of which kind; whether people are told of it; whether it is more than what happens in every run that goes
-- well; whether it is what a person did.
CREATE TABLE kinds_of_events (
    sequence INTEGER PRIMARY KEY,
    sweep_id TEXT REFERENCES sweeps (id),
    device TEXT,
    at_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    is_news INTEGER NOT NULL,
    is_notable INTEGER NOT NULL,
    is_act INTEGER NOT NULL,
    event TEXT NOT NULL
) STRICT;
INSERT INTO kinds_of_events (sequence, sweep_id, device, at_ns, kind, is_news, is_notable, is_act, event)
SELECT sequence, sweep_id, device, at_ns, kind,
    CASE kind
        WHEN 'device_quarantined' THEN 1
        WHEN 'clock_jumped' THEN 1
        WHEN 'clock_believed' THEN 1
        WHEN 'schedule_checked' THEN coalesce(event ->> '$.unfit' > 0, 0)
        WHEN 'sweep_compared'
            THEN coalesce(event ->> '$.is_told' AND (event ->> '$.found' > 0 OR event ->> '$.gone' > 0), 0)
        ELSE 0 END,
    CASE
        WHEN device IS NULL THEN 0
        WHEN kind IN ('device_connecting', 'device_waiting', 'device_changed', 'device_restored', 'device_cleaned',
                      'push_started', 'push_progress', 'push_finished', 'run_started', 'run_phase', 'run_cooling')
            THEN 0
        WHEN kind = 'run_finished' THEN coalesce(event ->> '$.status' NOT IN ('ok', 'skipped', 'cancelled'), 1)
        ELSE 1 END,
    CASE
        WHEN kind IN ('sweep_ordered', 'cancel_requested', 'schedule_paused', 'schedule_resumed', 'device_locked',
                      'device_unlocked', 'device_released', 'clock_believed', 'token_added', 'token_removed',
                      'sweep_pinned', 'sweep_unpinned', 'baseline_set', 'baseline_unset', 'regression_acknowledged',
                      'device_edited') THEN 1
        WHEN kind = 'removed' THEN event ->> '$.by' IS NOT NULL
        ELSE 0 END,
    event
FROM (SELECT sequence, sweep_id, device, at_ns, coalesce(event ->> '$.event', '') AS kind, event FROM events)
ORDER BY sequence;
DROP TABLE events;
ALTER TABLE kinds_of_events RENAME TO events;

CREATE INDEX events_by_sweep ON events (sweep_id, sequence);
CREATE INDEX events_by_device ON events (device, sequence) WHERE device IS NOT NULL;
-- A flag that is always 1 stands in the key, so that a search by the flag is the narrower one.
CREATE INDEX notable_events ON events (device, is_notable, sequence) WHERE is_notable = 1;
CREATE INDEX acts ON events (is_act, sequence) WHERE is_act = 1;
CREATE INDEX news ON events (kind, is_news, sequence) WHERE is_news = 1;
CREATE INDEX sweep_starts ON events (sweep_id, sequence) WHERE kind IN ('sweep_started', 'sweep_resumed');
CREATE INDEX starts ON events (kind, sequence) WHERE kind IN ('sweep_started', 'sweep_resumed');
CREATE INDEX availability ON events (device, kind, at_ns)
    WHERE kind IN ('device_locked', 'device_unlocked', 'device_quarantined', 'device_released');
CREATE INDEX device_checks ON events (device, kind, sequence) WHERE kind = 'device_checked';
CREATE INDEX device_paces ON events (device, kind, sequence) WHERE kind = 'device_calibrated';
CREATE INDEX device_breaks ON events (device, kind, sequence) WHERE kind = 'device_reconnecting';
CREATE INDEX device_pushes ON events (device, kind, sequence) WHERE kind = 'push_finished';

-- Why runs failed.
ALTER TABLE runs ADD COLUMN failure_kind TEXT;
UPDATE runs SET failure_kind = failure ->> '$.kind' WHERE failure IS NOT NULL AND json_valid(failure);
DROP TRIGGER records_stay;
DROP TRIGGER run_history_of_late;
ALTER TABLE records ADD COLUMN failure_kind TEXT;
UPDATE records SET failure_kind = record ->> '$.failure.kind' WHERE status <> 'ok' AND json_valid(record);
CREATE TRIGGER records_stay BEFORE UPDATE ON records
    WHEN NOT (OLD.status = 'skipped' AND NEW.status = 'ok' AND OLD.run_id IS NOT NULL AND NEW.run_id = OLD.run_id
              AND NEW.sweep_id = OLD.sweep_id AND NEW.job_id = OLD.job_id)
BEGIN SELECT raise(ABORT, 'a record never changes'); END;

-- What networks answered, as files that records name.
CREATE TABLE record_outputs (
    record INTEGER NOT NULL REFERENCES records (sequence),
    sha256 TEXT NOT NULL,
    PRIMARY KEY (record, sha256)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO record_outputs (record, sha256)
SELECT c.sequence, o.value ->> '$.sha256'
FROM (SELECT sequence, record FROM records WHERE json_valid(record)) c, json_each(c.record, '$.measurement.outputs') o
WHERE o.value ->> '$.sha256' IS NOT NULL;

-- The history of runs is written with their records, and leaves with their sweep.
DROP TRIGGER run_history_of_new;
DROP TRIGGER run_history_leaves;
DROP VIEW run_facts;
CREATE INDEX run_history_by_sweep ON run_history (sweep_id);

-- Who began a sweep by hand, of which schedule; and the words that it is found by, in small letters.
ALTER TABLE sweeps ADD COLUMN ordered_schedule TEXT;
ALTER TABLE sweeps ADD COLUMN ordered_by TEXT;
ALTER TABLE sweeps ADD COLUMN words TEXT NOT NULL DEFAULT '';
UPDATE sweeps SET words = lower(id || char(10) || name);
DROP INDEX sweeps_by_hand;
UPDATE sweeps SET
    ordered_schedule = definition ->> '$.ordered.schedule',
    ordered_by = definition ->> '$.ordered.by',
    words = lower(id || char(10) || name
        || coalesce(char(10) || (definition ->> '$.config'), '')
        || coalesce(char(10) || (definition ->> '$.due.schedule'), '')
        || coalesce(char(10) || (definition ->> '$.ordered.schedule'), '')
        || coalesce(char(10) || (definition ->> '$.ordered.by'), ''))
WHERE definition IS NOT NULL AND json_valid(definition);
CREATE INDEX sweeps_by_hand ON sweeps (ordered_schedule, started_at_ns) WHERE ordered_schedule IS NOT NULL;

-- A sweep comes to those that are to be compared by the statement that finishes it.
DROP TRIGGER comparison_is_due;

-- Who acknowledged what got slower.
DROP VIEW levels_beside_baselines;
ALTER TABLE regressions ADD COLUMN ended_by TEXT;
UPDATE regressions SET ended_by = regression ->> '$.end.by' WHERE json_valid(regression);
CREATE VIEW levels_beside_baselines AS
SELECT r.seen_in AS sweep_id, b.name AS baseline, coalesce(r.ended_by, 'an open alarm') AS kept_by
FROM regressions r JOIN baselines b ON r.against = 'baseline:' || b.name AND r.reference = b.sweep_id
WHERE r.state IN ('open', 'acknowledged');

-- Every column is a whole number or a text.
CREATE TABLE whole_temperatures (
    device TEXT NOT NULL,
    day INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    sensor TEXT NOT NULL,
    temp_mc INTEGER NOT NULL, -- thousandths of a degree Celsius
    PRIMARY KEY (device, day)
) STRICT;
INSERT INTO whole_temperatures (device, day, at_ns, sensor, temp_mc)
    SELECT device, day, at_ns, sensor, CAST(round(celsius * 1000) AS INTEGER) FROM idle_temperatures;
DROP TABLE idle_temperatures;
ALTER TABLE whole_temperatures RENAME TO idle_temperatures;
