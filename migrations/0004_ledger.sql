-- The ledger: committed events in gap-free positions, the tree over them, and its signed checkpoints.

SET LOCAL ROLE latchkey_admin;

-- Events that have no position yet, in the order in which they were written. Filled by the trigger below and drained by
-- the sequencer, and by nothing else. `leaf` is what the database saw when the event was written.
CREATE TABLE ledger_inbox (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event typeid NOT NULL,
  at timestamptz NOT NULL,
  leaf bytea NOT NULL
);

CREATE FUNCTION file_for_sequencing() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  -- In the order of the statement, which is the order in which things happened: ids of one millisecond may differ.
  INSERT INTO public.ledger_inbox (event, at, leaf)
  SELECT id, at, sha256('\x00'::bytea || bytes) FROM added;
  RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION file_for_sequencing() FROM PUBLIC;
CREATE TRIGGER every_event_is_sequenced AFTER INSERT ON audit_events REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION file_for_sequencing();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER every_event_is_sequenced;

-- What was written before there was a ledger takes the first positions.
INSERT INTO ledger_inbox (event, at, leaf)
SELECT id, at, sha256('\x00'::bytea || bytes) FROM audit_events ORDER BY at, id;

CREATE TABLE ledger_entries (
  position bigint PRIMARY KEY CONSTRAINT position_must_not_be_negative CHECK (position >= 0),
  event typeid NOT NULL CONSTRAINT event_must_have_one_position UNIQUE,
  at timestamptz NOT NULL
);

-- Which persons, devices, grants, requests and sessions an entry speaks of.
CREATE TABLE ledger_subjects (
  subject typeid NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (subject, position)
);

-- C2SP tlog-tiles: the hashes of a tile, as many as there are; a full one has 256.
CREATE TABLE ledger_tiles (
  level smallint NOT NULL,
  index bigint NOT NULL,
  hashes bytea NOT NULL CONSTRAINT tile_must_hold_whole_hashes
    CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
  PRIMARY KEY (level, index)
);
ALTER TABLE ledger_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- One row: the size and root of the tree, the hashes on its right edge, and the checkpoint signed over it. Whoever
-- extends the tree locks it and compares, so that no two ever extend the same tree.
CREATE TABLE ledger_state (
  singular boolean PRIMARY KEY DEFAULT true CONSTRAINT ledger_must_be_one CHECK (singular),
  size bigint NOT NULL DEFAULT 0,
  root bytea NOT NULL DEFAULT sha256(''::bytea) CONSTRAINT root_must_be_sha256 CHECK (octet_length(root) = 32),
  edge bytea NOT NULL DEFAULT ''::bytea,
  checkpoint text,
  signed_at timestamptz
);
INSERT INTO ledger_state DEFAULT VALUES;

CREATE TRIGGER ledger_must_not_shrink BEFORE UPDATE ON ledger_state FOR EACH ROW
  WHEN (NEW.size < OLD.size) EXECUTE FUNCTION refuse_change_of_history();
CREATE TRIGGER ledger_stays BEFORE DELETE ON ledger_state
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_history();
CREATE TRIGGER ledger_is_not_truncated BEFORE TRUNCATE ON ledger_state
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history();
CREATE TRIGGER tile_must_only_grow BEFORE UPDATE ON ledger_tiles FOR EACH ROW
  WHEN ((NEW.level, NEW.index, substring(NEW.hashes FOR octet_length(OLD.hashes)))
    IS DISTINCT FROM (OLD.level, OLD.index, OLD.hashes))
  EXECUTE FUNCTION refuse_change_of_history();
CREATE TRIGGER ledger_tiles_stay BEFORE DELETE ON ledger_tiles
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_history();
CREATE TRIGGER ledger_tiles_are_not_truncated BEFORE TRUNCATE ON ledger_tiles
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history();
CREATE TRIGGER ledger_entries_stay BEFORE UPDATE OR DELETE ON ledger_entries
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_history();
CREATE TRIGGER ledger_entries_are_not_truncated BEFORE TRUNCATE ON ledger_entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history();
ALTER TABLE ledger_state ENABLE ALWAYS TRIGGER ledger_must_not_shrink;
ALTER TABLE ledger_state ENABLE ALWAYS TRIGGER ledger_stays;
ALTER TABLE ledger_state ENABLE ALWAYS TRIGGER ledger_is_not_truncated;
ALTER TABLE ledger_tiles ENABLE ALWAYS TRIGGER tile_must_only_grow;
ALTER TABLE ledger_tiles ENABLE ALWAYS TRIGGER ledger_tiles_stay;
ALTER TABLE ledger_tiles ENABLE ALWAYS TRIGGER ledger_tiles_are_not_truncated;
ALTER TABLE ledger_entries ENABLE ALWAYS TRIGGER ledger_entries_stay;
ALTER TABLE ledger_entries ENABLE ALWAYS TRIGGER ledger_entries_are_not_truncated;

GRANT SELECT, DELETE ON ledger_inbox TO latchkey_app;
GRANT SELECT, INSERT ON ledger_entries, ledger_subjects TO latchkey_app;
GRANT SELECT, INSERT, UPDATE (hashes) ON ledger_tiles TO latchkey_app;
GRANT SELECT, UPDATE (size, root, edge, checkpoint, signed_at) ON ledger_state TO latchkey_app;
GRANT SELECT ON ledger_inbox, ledger_entries, ledger_subjects, ledger_tiles, ledger_state TO latchkey_auditor;

RESET ROLE;
