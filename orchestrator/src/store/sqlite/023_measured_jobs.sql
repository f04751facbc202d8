-- What a run measured: the job as it was planned, which measurement of it this is, and whether it was in a pair with
-- something else. Of a record whose job is not kept, the job is its own.
ALTER TABLE run_history ADD COLUMN first_job TEXT;
ALTER TABLE run_history ADD COLUMN rerun INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run_history ADD COLUMN is_paired INTEGER NOT NULL DEFAULT 0;
UPDATE run_history SET
    first_job = coalesce(told.job ->> '$.rerun.of', told.job_id),
    rerun = coalesce(told.job ->> '$.rerun.number', 0),
    is_paired = (told.job ->> '$.side') IS NOT NULL
FROM (SELECT c.sequence, c.job_id, CASE WHEN json_valid(j.job) THEN j.job END AS job
      FROM records c LEFT JOIN jobs j ON j.sweep_id = c.sweep_id AND j.job_id = c.job_id) AS told
WHERE told.sequence = run_history.sequence;
