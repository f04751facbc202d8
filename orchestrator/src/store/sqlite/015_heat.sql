-- How cool devices are: of each day (in UTC, since 1970) the coolest that the hottest sensor of its processor was before
-- a run.

CREATE TABLE idle_temperatures (
    device TEXT NOT NULL,
    day INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    sensor TEXT NOT NULL,
    celsius REAL NOT NULL,
    PRIMARY KEY (device, day)
) STRICT;

-- That a device cools down happens in every run that goes well.
DROP INDEX notable_events;
CREATE INDEX notable_events ON events (device, sequence)
    WHERE device IS NOT NULL
      AND NOT (event ->> '$.event' IN ('device_connecting', 'device_waiting', 'device_changed', 'device_restored',
                                       'device_cleaned', 'push_started', 'push_progress', 'push_finished', 'run_started',
                                       'run_phase', 'run_cooling')
               OR event ->> '$.event' = 'run_finished' AND event ->> '$.status' IN ('ok', 'skipped', 'cancelled'));
