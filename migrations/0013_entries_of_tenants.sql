-- A tenant's entries are found like those of a person or a device, however long the ledger is. By a trigger, so that a
-- broker of the release before, which may still give positions while this is rolled out, leaves none out.

SET LOCAL ROLE latchkey_admin;

-- Each of the few new entries is looked up by its key: no plan that reads all of history can be right.
CREATE FUNCTION index_tenants() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
  SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  INSERT INTO public.ledger_subjects (subject, position)
  SELECT a.tenant, p.position FROM placed p JOIN public.audit_events a ON a.id = p.event AND a.at = p.at
  WHERE a.tenant IS NOT NULL ORDER BY a.tenant, p.position;
  RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION index_tenants() FROM PUBLIC;
-- Against positions that are given meanwhile.
LOCK TABLE ledger_entries IN SHARE ROW EXCLUSIVE MODE;
CREATE TRIGGER tenants_are_indexed AFTER INSERT ON ledger_entries REFERENCING NEW TABLE AS placed
  FOR EACH STATEMENT EXECUTE FUNCTION index_tenants();

INSERT INTO ledger_subjects (subject, position)
SELECT a.tenant, e.position FROM ledger_entries e JOIN audit_events a ON a.id = e.event AND a.at = e.at
WHERE a.tenant IS NOT NULL ORDER BY a.tenant, e.position;

RESET ROLE;
