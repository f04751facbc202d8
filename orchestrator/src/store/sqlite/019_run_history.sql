-- What a history over sweeps asks of each run that ended well, so that none of its samples is read again: its cell, its
-- median (by nearest rank), and what moves time. All of it follows from the record, and is made and removed with it.
-- Devices say what they like: each value is cast to its column's type, so that no record is refused for its history.

CREATE TABLE environments (
    id INTEGER PRIMARY KEY,
    environment TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE run_history (
    model TEXT NOT NULL,
    at_ns INTEGER NOT NULL, -- its record was made
    sequence INTEGER NOT NULL, -- of its record
    sweep_id TEXT NOT NULL,
    device TEXT NOT NULL,
    median_ns INTEGER, -- none of a program that tells a mean alone
    environment INTEGER NOT NULL REFERENCES environments (id), -- another one begins another series
    cell TEXT NOT NULL,
    circumstances TEXT NOT NULL, -- what may have had a part in a change, and begins no series
    PRIMARY KEY (model, at_ns, sequence)
) STRICT, WITHOUT ROWID;

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
        'cpus', c.record ->> '$.measurement.cpus') AS circumstances
FROM records c WHERE c.status = 'ok' AND json_valid(c.record);

INSERT OR IGNORE INTO environments (environment) SELECT environment FROM run_facts;
INSERT OR IGNORE INTO run_history (model, at_ns, sequence, sweep_id, device, median_ns, environment, cell, circumstances)
    SELECT f.model, f.at_ns, f.sequence, f.sweep_id, f.device, f.median_ns, e.id, f.cell, f.circumstances
    FROM run_facts f JOIN environments e ON e.environment = f.environment;

CREATE TRIGGER run_history_of_new AFTER INSERT ON records WHEN new.status = 'ok' BEGIN
    INSERT OR IGNORE INTO environments (environment)
        SELECT environment FROM run_facts WHERE sequence = new.sequence;
    INSERT OR IGNORE INTO run_history (model, at_ns, sequence, sweep_id, device, median_ns, environment, cell, circumstances)
        SELECT f.model, f.at_ns, f.sequence, f.sweep_id, f.device, f.median_ns, e.id, f.cell, f.circumstances
        FROM run_facts f JOIN environments e ON e.environment = f.environment
        WHERE f.sequence = new.sequence;
END;

-- A result that came late takes the place of a skipped job's record.
CREATE TRIGGER run_history_of_late AFTER UPDATE ON records WHEN new.status = 'ok' BEGIN
    INSERT OR IGNORE INTO environments (environment)
        SELECT environment FROM run_facts WHERE sequence = new.sequence;
    INSERT OR IGNORE INTO run_history (model, at_ns, sequence, sweep_id, device, median_ns, environment, cell, circumstances)
        SELECT f.model, f.at_ns, f.sequence, f.sweep_id, f.device, f.median_ns, e.id, f.cell, f.circumstances
        FROM run_facts f JOIN environments e ON e.environment = f.environment
        WHERE f.sequence = new.sequence;
END;

CREATE TRIGGER run_history_leaves AFTER DELETE ON records WHEN old.status = 'ok' BEGIN
    DELETE FROM run_history
    WHERE model = old.record ->> '$.job.model.name' AND at_ns = old.finished_at_ns AND sequence = old.sequence;
END;
