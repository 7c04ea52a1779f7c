-- Ends that devices have confirmed, and those that they have not.

SET LOCAL ROLE latchkey_admin;

-- When nobody had confirmed the end in time, and an alarm was raised over it.
ALTER TABLE sessions ADD COLUMN alarmed_at timestamptz;
CREATE INDEX sessions_to_confirm ON sessions (id) WHERE ended_at IS NULL AND alarmed_at IS NULL;
GRANT UPDATE (alarmed_at) ON sessions TO latchkey_app;

-- Ends that were told before their beginning: nothing keeps two calls of a device in order on the way.
CREATE TABLE early_session_ends (
  session typeid NOT NULL,
  device typeid NOT NULL REFERENCES devices,
  grant_id typeid NOT NULL,
  ended_at timestamptz NOT NULL,
  end_cause text NOT NULL,
  lag_ms integer NOT NULL,
  PRIMARY KEY (session, device)
);
CREATE INDEX early_session_ends_by_age ON early_session_ends (ended_at);
CREATE INDEX early_session_ends_by_device ON early_session_ends (device);
GRANT SELECT, INSERT, DELETE ON early_session_ends TO latchkey_app;

-- A statement is taken only while its id is young, and remembered for longer than that: in the order of their ids the
-- oldest are found at one end of the index, and the newest are written at the other.
ALTER TABLE device_statements DROP CONSTRAINT device_statements_pkey,
  ALTER COLUMN jti TYPE typeid,
  ADD PRIMARY KEY (jti, device);
CREATE INDEX device_statements_by_device ON device_statements (device);
GRANT DELETE ON device_statements TO latchkey_app;

-- What a decision saw of a device goes with what else was collected about it.
ALTER TABLE disclosures ADD COLUMN device typeid;
UPDATE disclosures SET device = substring(value from '"resource":\{"id":"(dev_[0-7][0-9a-hjkmnp-tv-z]{25})","type":"Device"\}')
  WHERE value LIKE '{"action":{"id":%';
CREATE INDEX disclosures_by_device ON disclosures (device) WHERE device IS NOT NULL;
GRANT DELETE ON disclosures TO latchkey_app;

ALTER TABLE devices ADD COLUMN erased_at timestamptz,
  ADD CONSTRAINT erasure_must_follow_unenrolment CHECK (erased_at IS NULL OR erased_at >= unenrolled_at AND unenrolled_at IS NOT NULL);
CREATE INDEX devices_by_erasure ON devices (erased_at) WHERE erased_at IS NOT NULL;
GRANT UPDATE (erased_at) ON devices TO latchkey_app;

RESET ROLE;
