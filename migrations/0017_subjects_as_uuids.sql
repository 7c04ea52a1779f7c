-- What an entry speaks of is kept as the UUID that is in its id: 16 bytes instead of 31, in the table and in its index, and
-- the two are a third of all that is stored. Nothing but an index goes: the broker notes all entries again, from the first
-- on, beside its work; until then they are found with more effort.

SET LOCAL ROLE latchkey_admin;

DROP TABLE ledger_subjects;
CREATE TABLE ledger_subjects (
  subject uuid NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (subject, position)
);
UPDATE ledger_indexed SET size = 0;

GRANT SELECT, INSERT ON ledger_subjects TO latchkey_app;
GRANT SELECT ON ledger_subjects TO latchkey_auditor;

RESET ROLE;
