-- What time it is for leases: this server's, so that hosts whose clocks differ agree about who has what. What a caller
-- takes for now is given, so that a test can let that count instead.
CREATE FUNCTION lease_now(callers BIGINT) RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
    SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000000 AS BIGINT)
$$;
