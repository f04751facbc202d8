-- A run that was under way when its device went away has the record of a skipped job. What is found of it on the device
-- later takes that record's place, once; nothing else about a record ever changes.

DROP TRIGGER records_stay;
CREATE TRIGGER records_stay BEFORE UPDATE ON records
    WHEN NOT (OLD.status = 'skipped' AND NEW.status = 'ok' AND OLD.run_id IS NOT NULL AND NEW.run_id = OLD.run_id
              AND NEW.sweep_id = OLD.sweep_id AND NEW.job_id = OLD.job_id)
BEGIN SELECT raise(ABORT, 'a record never changes'); END;
