-- What happened. The bytes are the event; the other columns are copies of its fields, to find it by.

SET LOCAL ROLE latchkey_admin;

CREATE TABLE audit_events (
  id typeid NOT NULL,
  at timestamptz NOT NULL,
  type text NOT NULL,
  tenant typeid,
  bytes bytea NOT NULL CONSTRAINT event_must_fit_a_ledger_entry CHECK (octet_length(bytes) BETWEEN 2 AND 65535),
  PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);

CREATE FUNCTION refuse_change_of_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on % is refused: what happened stays', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER history_rows_stay BEFORE UPDATE OR DELETE ON audit_events
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_history();
CREATE TRIGGER history_is_not_truncated BEFORE TRUNCATE ON audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER history_rows_stay;
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER history_is_not_truncated;

-- Makes the partitions of this month and the next three, guarded like their parent. The broker may call it and thereby
-- make just these; it has no other right to the schema. Statement triggers are not inherited, and a trigger that is
-- cloned to a partition does not inherit ENABLE ALWAYS: both are set here on every partition. A partition is made apart
-- and then attached, because that waits for nobody who reads or writes history, and nobody waits for it.
CREATE FUNCTION ensure_audit_partitions() RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET TimeZone = 'UTC' AS $$
DECLARE
  month timestamp;
  name text;
  made integer := 0;
BEGIN
  FOR ahead IN 0..3 LOOP
    month := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + make_interval(months => ahead);
    name := 'audit_events_' || to_char(month, 'YYYY_MM');
    CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
    -- Taking a table's lock, unlike an advisory one, also makes this session see what others have made meanwhile.
    LOCK TABLE public.audit_events IN SHARE UPDATE EXCLUSIVE MODE;
    CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_events INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE public.audit_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', name,
      to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00',
      to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
    EXECUTE format('CREATE TRIGGER history_is_not_truncated BEFORE TRUNCATE ON public.%I
      FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change_of_history()', name);
    EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER history_is_not_truncated', name);
    EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER history_rows_stay', name);
    made := made + 1;
  END LOOP;
  RETURN made;
END
$$;
SELECT ensure_audit_partitions();

-- Rights ---------------------------------------------------------------------------------------------------------------

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO latchkey_app, latchkey_auditor;
GRANT EXECUTE ON FUNCTION ensure_audit_partitions(), device_search(text, text, jsonb) TO latchkey_app;

GRANT SELECT ON audit_events, policy_bundles TO latchkey_auditor;

-- The broker may make things, and change of each what its life changes. What happened and what was decided stays.
GRANT SELECT, INSERT ON audit_events, persons, personal_data, person_links, disclosures, tenants, devices,
  live_versions, enrolment_codes, requests, decisions, grants, grant_devices, credentials, used_proofs,
  idempotent_answers, alarms, notices, policy_bundles TO latchkey_app;
GRANT UPDATE (teams, employer, region, training_valid_until, claims_at) ON persons TO latchkey_app;
GRANT UPDATE (value) ON personal_data TO latchkey_app;
GRANT UPDATE (name) ON tenants TO latchkey_app;
GRANT UPDATE (name, facts, door, in_use, last_seen_at, unenrolled_at) ON devices TO latchkey_app;
GRANT UPDATE (version, changed_at) ON live_versions TO latchkey_app;
GRANT UPDATE (used_by) ON enrolment_codes TO latchkey_app;
GRANT UPDATE (state, decided_at, grant_id) ON requests TO latchkey_app;
GRANT UPDATE (started_at, expires_at, expiry_recorded_at, ending, ended_at, ended_by, end_reason, end_note,
  key_thumbprint, review_by, review_verdict, reviewed_at) ON grants TO latchkey_app;
GRANT UPDATE (expires_at, left_at) ON grant_devices TO latchkey_app;
GRANT UPDATE (answer) ON idempotent_answers TO latchkey_app;
GRANT UPDATE (closed_at) ON alarms TO latchkey_app;
-- What is forgotten for its age.
GRANT DELETE ON used_proofs, idempotent_answers, enrolment_codes TO latchkey_app;

RESET ROLE;
