-- What witnesses have cosigned: the checkpoints that receipts can be made of where witnesses are demanded.

SET LOCAL ROLE latchkey_admin;

-- Each line is a signature that verifies by itself; the newest hundred or so sizes are kept.
CREATE TABLE ledger_cosignatures (
  size bigint NOT NULL CONSTRAINT cosigned_size_must_be_positive CHECK (size > 0),
  -- Name and id of the witness's key.
  witness text NOT NULL,
  -- The checkpoint as the ledger signed it.
  checkpoint text NOT NULL,
  line text NOT NULL CONSTRAINT line_must_be_a_signature CHECK (line ~ '^— [^\n]+\n$'),
  PRIMARY KEY (size, witness)
);

GRANT SELECT, INSERT, DELETE ON ledger_cosignatures TO latchkey_app;
GRANT SELECT ON ledger_cosignatures TO latchkey_auditor;

RESET ROLE;
