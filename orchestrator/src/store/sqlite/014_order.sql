-- When a job is run, among those of its device: `position` is its place in the list, and in reports. Jobs of older
-- versions all have 0, and are run as listed.

ALTER TABLE jobs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
