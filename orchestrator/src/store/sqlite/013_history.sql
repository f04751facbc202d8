-- What happened to a device, without what happens in every run that goes well; who did what; and the sweeps that people
-- began by a schedule: each is found without reading all rows.

CREATE INDEX notable_events ON events (device, sequence)
    WHERE device IS NOT NULL
      AND NOT (event ->> '$.event' IN ('device_connecting', 'device_waiting', 'device_changed', 'device_restored',
                                       'device_cleaned', 'push_started', 'push_progress', 'push_finished', 'run_started',
                                       'run_phase')
               OR event ->> '$.event' = 'run_finished' AND event ->> '$.status' IN ('ok', 'skipped', 'cancelled'));

CREATE INDEX acts ON events (sequence)
    WHERE event ->> '$.event' IN ('sweep_ordered', 'cancel_requested', 'schedule_paused', 'schedule_resumed',
                                  'device_locked', 'device_unlocked', 'device_released', 'clock_believed');

CREATE INDEX sweeps_by_hand ON sweeps (definition ->> '$.ordered.schedule', started_at_ns)
    WHERE definition ->> '$.ordered.schedule' IS NOT NULL;
