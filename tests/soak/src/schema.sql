-- The table of a run. Each write of a row, a deletion too, has a version of its own, which only grows; what was committed
-- stands in the log. A write says its number in the setting `soak.op`, for its transaction.
CREATE TABLE item (item_id int PRIMARY KEY, slug text NOT NULL UNIQUE, shelf int NOT NULL, version bigint NOT NULL,
    op bigint NOT NULL);
CREATE TABLE item_counter (item_id int PRIMARY KEY, version bigint NOT NULL);
CREATE TABLE item_log (item_id int NOT NULL, version bigint NOT NULL, op bigint NOT NULL, shelf int, slug text);
-- How long a commit takes, in milliseconds.
CREATE TABLE slow_commit (ms int NOT NULL);
INSERT INTO slow_commit VALUES (0);

CREATE FUNCTION raise_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    pk int := CASE WHEN TG_OP = 'DELETE' THEN OLD.item_id ELSE NEW.item_id END;
    number bigint;
BEGIN
    -- The counter's row is locked until the transaction ends: versions are committed in their order.
    INSERT INTO item_counter VALUES (pk, 1) ON CONFLICT (item_id) DO UPDATE SET version = item_counter.version + 1
        RETURNING version INTO number;
    IF TG_OP = 'DELETE' THEN
        INSERT INTO item_log VALUES (pk, number, current_setting('soak.op')::bigint, NULL, NULL);
        RETURN OLD;
    END IF;
    NEW.version := number;
    NEW.op := current_setting('soak.op')::bigint;
    INSERT INTO item_log VALUES (pk, number, NEW.op, NEW.shelf, NEW.slug);
    RETURN NEW;
END $$;
CREATE TRIGGER raise_version BEFORE INSERT OR UPDATE OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION raise_version();

CREATE FUNCTION commit_slowly() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(ms / 1000.0) FROM slow_commit WHERE ms > 0;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER commit_slowly AFTER INSERT OR UPDATE OR DELETE ON item DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION commit_slowly();
