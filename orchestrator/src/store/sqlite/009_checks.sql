-- What devices were like when they were checked.
CREATE INDEX device_checks ON events (device, sequence) WHERE event ->> '$.event' = 'device_checked';

-- People were told of checks before sweeps up to this event.
ALTER TABLE told ADD COLUMN checks_until INTEGER NOT NULL DEFAULT 0;
CREATE INDEX schedule_checks ON events (sequence) WHERE event ->> '$.event' = 'schedule_checked';
