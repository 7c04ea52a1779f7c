-- What entries speak of is noted after they have their positions and a checkpoint covers them, beside the next batch: it
-- takes as long as the rest of a batch together. `size` is how many entries, from the first on, are noted. Until the others
-- are, whoever searches looks at those themselves; see src/store/ledger-listing.ts.

SET LOCAL ROLE latchkey_admin;

CREATE TABLE ledger_indexed (
  singular boolean PRIMARY KEY DEFAULT true CONSTRAINT index_must_be_one CHECK (singular),
  size bigint NOT NULL CONSTRAINT indexed_must_not_be_negative CHECK (size >= 0)
);
INSERT INTO ledger_indexed (size) SELECT size FROM ledger_state;

GRANT SELECT, UPDATE (size) ON ledger_indexed TO latchkey_app;
GRANT SELECT ON ledger_indexed TO latchkey_auditor;

-- How far the ledger is behind is read from the numbers that were given, rather than counted through what is dead.
GRANT SELECT ON SEQUENCE ledger_inbox_seq_seq TO latchkey_app;

RESET ROLE;
