-- The password of a device's local administrator: which one the device is to have, and who was given it. The passwords
-- themselves are in the vault and nowhere else.

SET LOCAL ROLE latchkey_admin;

-- To which what only the device may read is encrypted; null for a device that enrolled none.
ALTER TABLE devices ADD COLUMN encryption_key jsonb;
DROP TRIGGER device_is_fixed_when_enrolled ON devices;
CREATE TRIGGER device_is_fixed_when_enrolled BEFORE UPDATE OF id, tenant, public_key, key_thumbprint, enrolled_at, encryption_key
  ON devices FOR EACH ROW WHEN (
    (OLD.id, OLD.tenant, OLD.public_key, OLD.key_thumbprint, OLD.enrolled_at, OLD.encryption_key)
    IS DISTINCT FROM
    (NEW.id, NEW.tenant, NEW.public_key, NEW.key_thumbprint, NEW.enrolled_at, NEW.encryption_key)
) EXECUTE FUNCTION refuse_change();

-- One row a device that has such a password. A rotation is ordered by raising `wanted`, and done when `confirmed` is there.
CREATE TABLE device_secrets (
  device typeid PRIMARY KEY REFERENCES devices,
  tenant typeid NOT NULL REFERENCES tenants,
  wanted integer NOT NULL CONSTRAINT generations_must_count_from_one CHECK (wanted > 0),
  -- Since when it waits for a generation that it has not confirmed.
  wanted_at timestamptz NOT NULL,
  confirmed integer NOT NULL DEFAULT 0 CONSTRAINT confirmation_must_be_of_what_is_wanted CHECK (confirmed BETWEEN 0 AND wanted),
  alarmed_at timestamptz,
  retired_at timestamptz,
  -- Since when the vault holds what it should not: passwords that were replaced, or all of an erased device.
  vault_untidy_since timestamptz,
  CONSTRAINT alarm_must_be_over_what_waits CHECK (alarmed_at IS NULL OR confirmed < wanted)
);
CREATE INDEX device_secrets_that_wait ON device_secrets (wanted_at)
  WHERE confirmed < wanted AND alarmed_at IS NULL AND retired_at IS NULL;
CREATE INDEX device_secrets_untidy ON device_secrets (vault_untidy_since) WHERE vault_untidy_since IS NOT NULL;

CREATE FUNCTION refuse_lower_generation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% % may not change so: %', TG_TABLE_NAME, OLD.device, TG_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER generations_must_not_go_back BEFORE UPDATE ON device_secrets FOR EACH ROW
  WHEN (NEW.wanted < OLD.wanted OR NEW.confirmed < OLD.confirmed OR NEW.device <> OLD.device OR NEW.tenant <> OLD.tenant)
  EXECUTE FUNCTION refuse_lower_generation();

-- The passwords that the vault holds: from the one confirmed last onwards, the device may have any of them.
CREATE TABLE secret_generations (
  device typeid NOT NULL REFERENCES device_secrets,
  generation integer NOT NULL,
  vault_version text NOT NULL,
  salt bytea NOT NULL CONSTRAINT secret_salt_must_have_128_bits CHECK (octet_length(salt) = 16),
  -- The event that commits to it, and its very bytes.
  event typeid NOT NULL,
  leaf bytea NOT NULL,
  PRIMARY KEY (device, generation)
);

-- Who was given what, once for each grant and device.
CREATE TABLE secret_releases (
  grant_id typeid NOT NULL REFERENCES grants,
  device typeid NOT NULL REFERENCES devices,
  generations integer[] NOT NULL CONSTRAINT release_must_be_of_something CHECK (cardinality(generations) > 0),
  -- RFC 7638 thumbprint of the key that it was encrypted to.
  one_time_key text NOT NULL,
  released_at timestamptz NOT NULL,
  event typeid NOT NULL,
  leaf bytea NOT NULL,
  rotation_ordered_at timestamptz,
  CONSTRAINT secret_must_be_released_once PRIMARY KEY (grant_id, device)
);
CREATE INDEX secret_releases_by_device ON secret_releases (device, released_at);
CREATE INDEX secret_releases_to_follow ON secret_releases (released_at) WHERE rotation_ordered_at IS NULL;

-- The grant that an alarm is over, beside what it is about.
ALTER TABLE alarms ADD COLUMN grant_id typeid REFERENCES grants;

GRANT SELECT, INSERT ON device_secrets, secret_generations, secret_releases TO latchkey_app;
GRANT UPDATE (wanted, wanted_at, confirmed, alarmed_at, retired_at, vault_untidy_since) ON device_secrets TO latchkey_app;
GRANT UPDATE (rotation_ordered_at) ON secret_releases TO latchkey_app;
GRANT DELETE ON secret_generations TO latchkey_app;
REVOKE ALL ON FUNCTION refuse_lower_generation() FROM PUBLIC;

RESET ROLE;
