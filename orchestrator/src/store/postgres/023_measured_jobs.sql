-- What a run measured: the job as it was planned, which measurement of it this is, and whether it was in a pair with
-- something else.
ALTER TABLE run_history ADD COLUMN first_job TEXT COLLATE "C";
ALTER TABLE run_history ADD COLUMN rerun BIGINT NOT NULL DEFAULT 0;
ALTER TABLE run_history ADD COLUMN is_paired BIGINT NOT NULL DEFAULT 0;
