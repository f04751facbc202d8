-- How fast devices were before the runs of a sweep.

CREATE INDEX device_paces ON events (device, sequence) WHERE event ->> '$.event' = 'device_calibrated';
