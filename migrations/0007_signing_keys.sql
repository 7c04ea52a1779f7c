-- What is publicly known of the broker's signing keys. The keys themselves are in the vault, and nothing here makes one be
-- believed: a row can only say since when a version counts, and that one is not to be used any more.

SET LOCAL ROLE latchkey_admin;

CREATE TABLE signing_keys (
  name text NOT NULL CONSTRAINT signing_key_must_be_known CHECK (name IN ('credential', 'statement', 'ledger')),
  -- As the vault calls it.
  version text NOT NULL,
  -- The id of the key in the JWKS; of the ledger's, its verifier key.
  key text NOT NULL,
  recorded_at timestamptz NOT NULL,
  -- The event that says so; null for the first one, which replaced none.
  event typeid,
  -- The ledger's key alone: what a verifier of its forerunner follows, and since when there is such a proof.
  proof text,
  proved_at timestamptz,
  withdrawn_at timestamptz,
  -- Goes up with every change, so that one sum tells whether anything has changed.
  changes integer NOT NULL DEFAULT 1,
  PRIMARY KEY (name, version),
  CONSTRAINT proof_must_have_its_time CHECK ((proof IS NULL) = (proved_at IS NULL)),
  CONSTRAINT proved_key_must_be_of_the_ledger CHECK (proof IS NULL OR name = 'ledger')
);

CREATE FUNCTION refuse_change_of_signing_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what is known of a signing key stays: %', TG_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER signing_key_must_stay_as_it_is_known BEFORE UPDATE ON signing_keys FOR EACH ROW
  WHEN ((NEW.name, NEW.version, NEW.key, NEW.recorded_at, NEW.event)
      IS DISTINCT FROM (OLD.name, OLD.version, OLD.key, OLD.recorded_at, OLD.event)
    OR (OLD.proof IS NOT NULL AND (NEW.proof, NEW.proved_at) IS DISTINCT FROM (OLD.proof, OLD.proved_at))
    OR (OLD.withdrawn_at IS NOT NULL AND NEW.withdrawn_at IS DISTINCT FROM OLD.withdrawn_at)
    OR NEW.changes <= OLD.changes)
  EXECUTE FUNCTION refuse_change_of_signing_key();

-- Who makes the next version of a key: one at a time, and for a while only, in case whoever took the turn dies.
CREATE TABLE key_turns (
  name text PRIMARY KEY CONSTRAINT turn_must_be_for_a_known_key CHECK (name IN ('credential', 'statement', 'ledger')),
  taken_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE (proof, proved_at, withdrawn_at, changes) ON signing_keys TO latchkey_app;
GRANT SELECT, INSERT, UPDATE (taken_at) ON key_turns TO latchkey_app;
GRANT SELECT ON signing_keys TO latchkey_auditor;

RESET ROLE;
