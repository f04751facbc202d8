-- What a run measured: the job as it was planned, which measurement of it this is, and whether it was in a pair with
-- something else.
ALTER TABLE run_history ADD COLUMN first_job TEXT;
ALTER TABLE run_history ADD COLUMN rerun INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run_history ADD COLUMN is_paired INTEGER NOT NULL DEFAULT 0;
UPDATE run_history SET
    first_job = coalesce(j.job ->> '$.rerun.of', j.job_id),
    rerun = coalesce(j.job ->> '$.rerun.number', 0),
    is_paired = (j.job ->> '$.side') IS NOT NULL
FROM records c JOIN jobs j ON j.sweep_id = c.sweep_id AND j.job_id = c.job_id
WHERE c.sequence = run_history.sequence AND json_valid(j.job);
