-- The rows of all sweeps as views, over what `farmctl results --parquet results.parquet` writes. The file is looked for in the
-- folder that DuckDB runs in:  duckdb -init results.sql

-- Every row, with the columns of results.csv in their types.
CREATE OR REPLACE VIEW results AS
SELECT * FROM read_parquet('results.parquet');

-- The runs that numbers are made of: those that are ok, of what was measured again the one that counts, and none that was
-- measured in turn with something else (farmctl ab).
CREATE OR REPLACE VIEW runs AS
SELECT * FROM results
WHERE status = 'ok' AND counts IS DISTINCT FROM 'no' AND side IS NULL;

-- A row a cell and sweep: the median of its runs. The run is the unit, however many inferences it has.
CREATE OR REPLACE VIEW cells AS
SELECT
    sweep_id, sweep, min(started_at) AS started_at,
    device, model, weights, backend, delegate, precision, threads_requested AS threads, batch, scenario,
    count(*) AS runs,
    median(p50_ms) AS p50_ms, min(p50_ms) AS least_p50_ms, max(p50_ms) AS most_p50_ms,
    count(*) FILTER (WHERE verdict <> 'ok') AS doubtful,
    any_value(backend_version) AS backend_version, any_value(runner_sha256) AS runner_sha256,
    any_value(model_sha256) AS model_sha256
FROM runs
GROUP BY sweep_id, sweep, device, model, weights, backend, delegate, precision, threads_requested, batch, scenario;

-- Each cell beside itself in the sweep before, and by how much it takes longer, in per cent.
CREATE OR REPLACE VIEW changes AS
SELECT *, round((p50_ms / before_ms - 1) * 100, 2) AS change_percent
FROM (
    SELECT *, lag(p50_ms) OVER (
        PARTITION BY device, model, weights, backend, delegate, precision, threads, batch, scenario
        ORDER BY started_at) AS before_ms
    FROM cells)
WHERE before_ms IS NOT NULL;
