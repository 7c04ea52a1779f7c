-- The tenant of an entry is indexed by the sequencer, with the other ids that the entry speaks of.

SET LOCAL ROLE latchkey_admin;

DROP TRIGGER tenants_are_indexed ON ledger_entries;
DROP FUNCTION index_tenants();

RESET ROLE;
