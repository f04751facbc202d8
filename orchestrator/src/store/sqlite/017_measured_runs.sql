-- The runs of a device that ended well, the newest first, without reading what else happened to it.

CREATE INDEX measured_runs ON events (device, sequence)
    WHERE device IS NOT NULL AND event ->> '$.event' = 'run_finished' AND event ->> '$.status' = 'ok';
