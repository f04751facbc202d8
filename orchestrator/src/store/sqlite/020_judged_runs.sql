-- A run's record says what was found of it, and so does its history: how far a device can be trusted is read from the
-- histories of its runs, not from events. How a device is reached is read from what its connection and its pushes say.

ALTER TABLE run_history ADD COLUMN judged TEXT; -- none of runs of older versions

CREATE INDEX run_history_by_device ON run_history (device, at_ns, sequence);

CREATE INDEX device_links ON events (device, sequence)
    WHERE device IS NOT NULL AND event ->> '$.event' IN ('device_reconnecting', 'push_finished');

-- What was found of runs of older versions stands in their events.
WITH told AS MATERIALIZED (
    SELECT sweep_id, event ->> '$.job_id' AS job_id, device, event -> '$.judged' AS judged FROM events
    WHERE device IS NOT NULL AND event ->> '$.event' = 'run_finished' AND event ->> '$.status' = 'ok'
      AND event -> '$.judged' IS NOT NULL)
UPDATE run_history SET judged = told.judged
    FROM told JOIN records c ON c.sweep_id = told.sweep_id AND c.job_id = told.job_id
    WHERE run_history.device = told.device AND run_history.at_ns = c.finished_at_ns
      AND run_history.sequence = c.sequence;

DROP INDEX measured_runs;
DROP TRIGGER run_history_of_new;
DROP TRIGGER run_history_of_late;
DROP VIEW run_facts;

CREATE VIEW run_facts AS
SELECT c.sequence, c.sweep_id, c.finished_at_ns AS at_ns,
    CAST(c.record ->> '$.job.model.name' AS TEXT) AS model,
    CAST(c.record ->> '$.job.device' AS TEXT) AS device,
    CAST(coalesce(
        (SELECT value FROM (
            SELECT value, row_number() OVER (ORDER BY value) AS place, count(*) OVER () AS total
            FROM json_each(c.record, '$.measurement.samples_ns')) WHERE place = (total + 1) / 2),
        c.record ->> '$.measurement.reported.median_ns') AS INTEGER) AS median_ns,
    json_object(
        'device', c.record ->> '$.job.device', 'weights', c.record ->> '$.job.model.weights',
        'format', c.record ->> '$.job.model.format', 'backend', c.record ->> '$.job.backend',
        'options', json(coalesce(c.record -> '$.job.options', '{}')), 'precision', c.record ->> '$.job.precision',
        'threads', c.record -> '$.job.threads', 'batch', c.record -> '$.job.batch',
        'scenario', c.record ->> '$.job.scenario') AS cell,
    json_object(
        'soc', c.record ->> '$.device.soc', 'os', c.record ->> '$.device.os',
        'kernel', c.record ->> '$.device.kernel', 'build', c.record ->> '$.device.android.build',
        'governor', (SELECT group_concat(name, ' ') FROM (
            SELECT DISTINCT value ->> '$.governor' AS name
            FROM json_each(c.record, '$.measurement.conditions.before.cores')
            WHERE value ->> '$.governor' IS NOT NULL ORDER BY name)),
        'cpuset', c.record ->> '$.measurement.conditions.cpuset',
        'runner', c.record ->> '$.runner_sha256', 'backend_version', c.record ->> '$.job.backend_version',
        'engine_files', (SELECT group_concat(value ->> '$.artifact.sha256', ' ')
                         FROM json_each(c.record, '$.engine_files')),
        'model', c.record ->> '$.job.model.artifact.sha256',
        'model_parts', (SELECT group_concat(value ->> '$.artifact.sha256', ' ')
                        FROM json_each(c.record, '$.job.model.parts')),
        'inputs', c.record ->> '$.job.model.inputs', 'input_shape', c.record ->> '$.job.model.input_shape',
        'threads_used', c.record ->> '$.measurement.threads', 'limits', c.record ->> '$.job.limits') AS environment,
    json_object(
        'farmctl', c.record ->> '$.farmctl_version',
        'boot', coalesce(c.record ->> '$.measurement.conditions.boot_id', c.record ->> '$.device.boot_id'),
        'temp_start_c', c.record ->> '$.measurement.conditions.temperature.start_c',
        'battery', c.record ->> '$.measurement.conditions.before.battery.status',
        'cpus', c.record ->> '$.measurement.cpus') AS circumstances,
    c.record -> '$.judged' AS judged
FROM records c WHERE c.status = 'ok' AND json_valid(c.record);

-- Takes a run into the history: whoever inserts the number of a record here.
CREATE TRIGGER run_history_takes INSTEAD OF INSERT ON run_facts BEGIN
    INSERT OR IGNORE INTO environments (environment)
        SELECT environment FROM run_facts WHERE sequence = new.sequence;
    INSERT OR IGNORE INTO run_history
            (model, at_ns, sequence, sweep_id, device, median_ns, environment, cell, circumstances, judged)
        SELECT f.model, f.at_ns, f.sequence, f.sweep_id, f.device, f.median_ns, e.id, f.cell, f.circumstances, f.judged
        FROM run_facts f JOIN environments e ON e.environment = f.environment
        WHERE f.sequence = new.sequence;
END;

CREATE TRIGGER run_history_of_new AFTER INSERT ON records WHEN new.status = 'ok' BEGIN
    INSERT INTO run_facts (sequence) VALUES (new.sequence);
END;

-- A result that came late takes the place of a skipped job's record.
CREATE TRIGGER run_history_of_late AFTER UPDATE ON records WHEN new.status = 'ok' BEGIN
    INSERT INTO run_facts (sequence) VALUES (new.sequence);
END;
