-- What pages and verbs ask for is found without reading all rows.

CREATE INDEX newest_sweeps ON sweeps (started_at_ns, id);
CREATE INDEX open_sweeps ON sweeps (started_at_ns, id) WHERE state IN ('open', 'cancelling');
CREATE INDEX ended_sweeps ON sweeps (finished_at_ns);

-- By which event a process last began to carry a sweep out.
CREATE INDEX sweep_starts ON events (sweep_id, sequence)
    WHERE event ->> '$.event' IN ('sweep_started', 'sweep_resumed');

-- When a device could not be used.
CREATE INDEX availability ON events (device, event ->> '$.event', at_ns)
    WHERE device IS NOT NULL
      AND event ->> '$.event' IN ('device_locked', 'device_unlocked', 'device_quarantined', 'device_released');

CREATE INDEX ended_runs ON runs (ended_at_ns);
CREATE INDEX records_by_status ON records (sweep_id, status);
