-- What devices say of the sessions at their doors.

SET LOCAL ROLE latchkey_admin;

CREATE TABLE sessions (
  id typeid PRIMARY KEY,
  device typeid NOT NULL REFERENCES devices,
  grant_id typeid NOT NULL REFERENCES grants,
  person typeid NOT NULL REFERENCES persons,
  tenant typeid NOT NULL REFERENCES tenants,
  credential typeid NOT NULL,
  scopes text[] NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz,
  end_cause text,
  lag_ms integer,
  CONSTRAINT ended_session_must_say_why CHECK ((ended_at IS NULL) = (end_cause IS NULL))
);
CREATE INDEX sessions_by_person ON sessions (person, id DESC);
CREATE INDEX sessions_by_tenant ON sessions (tenant, id DESC);
CREATE INDEX sessions_by_grant ON sessions (grant_id, id DESC);
CREATE INDEX sessions_by_device ON sessions (device, id DESC);
CREATE INDEX sessions_open ON sessions (id DESC) WHERE ended_at IS NULL;

CREATE TRIGGER session_must_end_once BEFORE UPDATE ON sessions FOR EACH ROW
  WHEN (OLD.ended_at IS NOT NULL
    OR (OLD.id, OLD.device, OLD.grant_id, OLD.person, OLD.tenant, OLD.credential, OLD.scopes, OLD.started_at)
      IS DISTINCT FROM (NEW.id, NEW.device, NEW.grant_id, NEW.person, NEW.tenant, NEW.credential, NEW.scopes, NEW.started_at))
  EXECUTE FUNCTION refuse_change();

-- Statements that a device has made, by their `jti`: each counts once.
CREATE TABLE device_statements (
  device typeid NOT NULL REFERENCES devices,
  jti text NOT NULL,
  PRIMARY KEY (device, jti)
);

GRANT SELECT, INSERT, UPDATE (ended_at, end_cause, lag_ms) ON sessions TO latchkey_app;
GRANT SELECT, INSERT ON device_statements TO latchkey_app;

RESET ROLE;
