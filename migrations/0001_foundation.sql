-- The words of the design as tables. Everything belongs to latchkey_admin; the broker (latchkey_app) has just the rights
-- listed at the end; latchkey_auditor reads.

DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['latchkey_admin', 'latchkey_app', 'latchkey_auditor'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
    EXCEPTION
      -- Roles belong to the whole cluster: another database, or another migration at this moment, may have made them.
      WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
  IF NOT pg_has_role(current_user, 'latchkey_admin', 'USAGE') THEN
    EXECUTE format('GRANT latchkey_admin TO %I', current_user);
  END IF;
  EXECUTE format('GRANT CREATE ON DATABASE %I TO latchkey_admin', current_database());
  IF NOT has_schema_privilege('latchkey_admin', 'public', 'CREATE') THEN
    GRANT USAGE, CREATE ON SCHEMA public TO latchkey_admin;
  END IF;
  -- A database that was made before PostgreSQL 15 lets everybody make tables in `public`.
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
  IF has_schema_privilege('latchkey_app', 'public', 'CREATE') THEN
    RAISE EXCEPTION 'everybody may make tables in the schema `public`, and % cannot change that: have its owner do so',
      current_user;
  END IF;
END
$$;

SET LOCAL ROLE latchkey_admin;

-- Ids are TypeIDs. Collation "C": they are compared as bytes, and so sort by time.
CREATE DOMAIN typeid AS text COLLATE "C" CONSTRAINT typeid_must_be_well_formed
  CHECK (VALUE ~ '^[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}$');

-- People ------------------------------------------------------------------------------------------------------------

-- Who someone is to an identity provider, and what it last said of them. No name, no address.
CREATE TABLE persons (
  id typeid PRIMARY KEY,
  issuer text NOT NULL,
  subject text NOT NULL,
  teams text[] NOT NULL DEFAULT '{}',
  employer text,
  region text,
  training_valid_until timestamptz,
  claims_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT one_person_per_subject UNIQUE (issuer, subject)
);

-- The one place for names and addresses. Erasing someone empties their rows here.
-- Addresses and human claims accumulate, so that no one sheds an alias by changing one.
CREATE TABLE personal_data (
  person typeid NOT NULL REFERENCES persons,
  kind text NOT NULL CONSTRAINT personal_data_kind_must_be_known CHECK (kind IN ('name', 'email', 'human')),
  value text NOT NULL,
  PRIMARY KEY (person, kind, value)
);
CREATE UNIQUE INDEX one_name_per_person ON personal_data (person) WHERE kind = 'name';
CREATE INDEX personal_data_by_alias ON personal_data (kind, value) WHERE kind <> 'name';

-- Two persons that an operator has said are one human.
CREATE TABLE person_links (
  person typeid NOT NULL REFERENCES persons,
  other typeid NOT NULL REFERENCES persons,
  linked_by typeid NOT NULL REFERENCES persons,
  linked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (person, other),
  CONSTRAINT link_must_be_of_two_persons CHECK (person < other)
);
CREATE INDEX person_links_by_other ON person_links (other);

-- Texts and decision inputs that the ledger holds only as salted commitments (SHA-256 over salt and text).
-- Erasing a row leaves the commitment, and every proof, as they are.
CREATE TABLE disclosures (
  commitment bytea PRIMARY KEY CONSTRAINT commitment_must_be_sha256 CHECK (octet_length(commitment) = 32),
  salt bytea NOT NULL CONSTRAINT salt_must_have_128_bits CHECK (octet_length(salt) = 16),
  value text NOT NULL,
  person typeid REFERENCES persons
);
CREATE INDEX disclosures_by_person ON disclosures (person);

-- Tenants and devices -------------------------------------------------------------------------------------------------

CREATE TABLE tenants (
  id typeid PRIMARY KEY,
  slug text NOT NULL CONSTRAINT one_tenant_per_slug UNIQUE
    CONSTRAINT slug_must_be_plain CHECK (slug ~ '^[a-z0-9-]{1,63}$'),
  name text NOT NULL,
  region text NOT NULL CONSTRAINT region_must_be_known CHECK (region IN ('EU', 'APAC', 'US')),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION device_search(id text, name text, facts jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT lower(concat_ws(E'\n', id, name, (SELECT string_agg(value, E'\n') FROM jsonb_each_text(facts))))
$$;

CREATE TABLE devices (
  id typeid PRIMARY KEY,
  tenant typeid NOT NULL REFERENCES tenants,
  name text NOT NULL,
  public_key jsonb NOT NULL,
  key_thumbprint text NOT NULL CONSTRAINT key_must_be_enrolled_once UNIQUE,
  facts jsonb NOT NULL DEFAULT '{}',
  door jsonb,
  in_use boolean NOT NULL DEFAULT false,
  last_seen_at timestamptz,
  enrolled_at timestamptz NOT NULL,
  unenrolled_at timestamptz,
  -- All that a device is searched by, in small letters.
  search text NOT NULL GENERATED ALWAYS AS (device_search(id, name, facts)) STORED,
  CONSTRAINT unenrolment_must_follow_enrolment CHECK (unenrolled_at >= enrolled_at)
);
CREATE INDEX devices_by_tenant ON devices (tenant, id DESC);

-- Any managed PostgreSQL offers pg_trgm, but some only when it is switched on for the server. Without it a search reads
-- every device that its caller may see.
DO $$
BEGIN
  CREATE SCHEMA latchkey_extensions;
  CREATE EXTENSION pg_trgm SCHEMA latchkey_extensions;
  CREATE INDEX devices_by_search ON devices USING gin (search latchkey_extensions.gin_trgm_ops);
EXCEPTION
  WHEN duplicate_object OR insufficient_privilege OR feature_not_supported OR undefined_file THEN
    RAISE NOTICE 'devices are searched without an index: %', SQLERRM;
END
$$;

-- The version of each device's list of live grants, raised in every transaction that changes the list.
CREATE TABLE live_versions (
  device typeid PRIMARY KEY REFERENCES devices,
  version bigint NOT NULL,
  changed_at timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX live_versions_by_change ON live_versions (changed_at);

CREATE TABLE enrolment_codes (
  code_hash bytea PRIMARY KEY,
  tenant typeid NOT NULL REFERENCES tenants,
  created_by typeid NOT NULL REFERENCES persons,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_by typeid REFERENCES devices CONSTRAINT code_must_enrol_one_device UNIQUE,
  CONSTRAINT code_must_expire_after_its_making CHECK (expires_at > created_at)
);
CREATE INDEX enrolment_codes_unused ON enrolment_codes (expires_at) WHERE used_by IS NULL;

-- Requests ------------------------------------------------------------------------------------------------------------

CREATE TABLE requests (
  id typeid PRIMARY KEY,
  state text NOT NULL CONSTRAINT request_state_must_be_known
    CHECK (state IN ('pending', 'granted', 'denied', 'cancelled', 'lapsed')),
  requester typeid NOT NULL REFERENCES persons,
  tenant typeid NOT NULL REFERENCES tenants,
  profile text NOT NULL,
  devices text[] COLLATE "C" NOT NULL CONSTRAINT request_must_name_devices CHECK (cardinality(devices) BETWEEN 1 AND 50),
  scopes text[] NOT NULL CONSTRAINT request_must_name_scopes CHECK (cardinality(scopes) > 0),
  data_classes text[] NOT NULL,
  duration integer NOT NULL CONSTRAINT request_must_last CHECK (duration > 0),
  longest integer NOT NULL,
  longest_total integer NOT NULL,
  stages jsonb NOT NULL,
  reason bytea NOT NULL,
  ticket bytea,
  extends typeid,
  created_at timestamptz NOT NULL,
  starts_at timestamptz,
  lapses_at timestamptz NOT NULL,
  decided_at timestamptz,
  grant_id typeid,
  policy_digest text NOT NULL,
  CONSTRAINT requester_is_fixed_with_id UNIQUE (id, requester),
  CONSTRAINT lapse_must_follow_creation CHECK (lapses_at > created_at),
  CONSTRAINT granted_request_must_have_its_grant CHECK ((state = 'granted') = (grant_id IS NOT NULL)),
  CONSTRAINT decided_request_must_say_when CHECK ((state = 'pending') = (decided_at IS NULL))
);
CREATE INDEX requests_by_requester ON requests (requester, id DESC);
CREATE INDEX requests_by_tenant ON requests (tenant, id DESC);
CREATE INDEX requests_not_granted ON requests (state, id DESC) WHERE state <> 'granted';
CREATE INDEX requests_not_granted_by_tenant ON requests (tenant, state, id DESC) WHERE state <> 'granted';
CREATE INDEX requests_due_to_lapse ON requests (lapses_at) WHERE state = 'pending';

CREATE TABLE decisions (
  request typeid NOT NULL,
  requester typeid NOT NULL,
  person typeid NOT NULL REFERENCES persons,
  verdict text NOT NULL CONSTRAINT verdict_must_be_known CHECK (verdict IN ('approve', 'deny')),
  stage text NOT NULL,
  comment bytea,
  narrow jsonb,
  decided_at timestamptz NOT NULL,
  PRIMARY KEY (request, person, verdict),
  FOREIGN KEY (request, requester) REFERENCES requests (id, requester),
  CONSTRAINT approver_must_not_be_requester CHECK (person <> requester)
);

-- Grants --------------------------------------------------------------------------------------------------------------

CREATE TABLE grants (
  id typeid PRIMARY KEY,
  request typeid NOT NULL CONSTRAINT request_must_grant_once UNIQUE REFERENCES requests,
  person typeid NOT NULL REFERENCES persons,
  tenant typeid NOT NULL REFERENCES tenants,
  profile text NOT NULL,
  scopes text[] NOT NULL CONSTRAINT grant_must_name_scopes CHECK (cardinality(scopes) > 0),
  duration integer NOT NULL,
  starts_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  -- What has been recorded of its beginning and of its end by the clock. The clock itself decides.
  started_at timestamptz,
  expiry_recorded_at timestamptz,
  ending text CONSTRAINT ending_must_be_known CHECK (ending IN ('revoked', 'released')),
  ended_at timestamptz,
  ended_by typeid REFERENCES persons,
  end_reason bytea,
  end_note text,
  key_thumbprint text,
  review_due_at timestamptz,
  review_by typeid REFERENCES persons,
  review_verdict text CONSTRAINT review_verdict_must_be_known CHECK (review_verdict IN ('justified', 'unjustified')),
  reviewed_at timestamptz,
  CONSTRAINT expiry_must_follow_start CHECK (expires_at > starts_at),
  CONSTRAINT ended_grant_must_say_when CHECK ((ending IS NULL) = (ended_at IS NULL)),
  CONSTRAINT ending_must_come_before_expiry CHECK (ended_at < expires_at),
  CONSTRAINT start_must_have_come_when_recorded CHECK (started_at >= starts_at),
  CONSTRAINT expiry_must_have_come_when_recorded CHECK (expiry_recorded_at >= expires_at),
  CONSTRAINT grant_must_end_once CHECK (ending IS NULL OR expiry_recorded_at IS NULL),
  CONSTRAINT review_must_be_by_somebody CHECK ((review_by IS NULL) = (review_verdict IS NULL)),
  CONSTRAINT reviewer_must_not_be_holder CHECK (review_by <> person)
);
CREATE INDEX grants_by_person ON grants (person, id DESC);
CREATE INDEX grants_by_tenant ON grants (tenant, id DESC);
CREATE INDEX grants_in_force ON grants (id DESC) WHERE ending IS NULL AND expiry_recorded_at IS NULL;
CREATE INDEX grants_ended_early ON grants (ending, id DESC) WHERE ending IS NOT NULL;
CREATE INDEX grants_ended_early_by_tenant ON grants (tenant, ending, id DESC) WHERE ending IS NOT NULL;
CREATE INDEX grants_due_to_expire ON grants (expires_at) WHERE ending IS NULL AND expiry_recorded_at IS NULL;
CREATE INDEX grants_due_to_start ON grants (starts_at) WHERE started_at IS NULL AND ending IS NULL AND expiry_recorded_at IS NULL;
CREATE INDEX grants_due_for_review ON grants (review_due_at) WHERE review_due_at IS NOT NULL AND review_verdict IS NULL;

CREATE TABLE grant_devices (
  grant_id typeid NOT NULL REFERENCES grants,
  device typeid NOT NULL REFERENCES devices,
  position smallint NOT NULL,
  -- A copy of the grant's, so that what is live on a device is found without reading its past.
  expires_at timestamptz NOT NULL,
  left_at timestamptz,
  PRIMARY KEY (grant_id, device)
);
CREATE INDEX grant_devices_by_device ON grant_devices (device, expires_at);

ALTER TABLE requests ADD CONSTRAINT extension_must_extend_a_grant FOREIGN KEY (extends) REFERENCES grants;
ALTER TABLE requests ADD CONSTRAINT granted_request_must_name_a_grant FOREIGN KEY (grant_id) REFERENCES grants
  DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX requests_by_extended_grant ON requests (extends) WHERE extends IS NOT NULL;

CREATE TABLE credentials (
  id typeid PRIMARY KEY,
  grant_id typeid NOT NULL REFERENCES grants,
  device typeid NOT NULL REFERENCES devices,
  person typeid NOT NULL REFERENCES persons,
  hash bytea NOT NULL CONSTRAINT credential_hash_must_be_sha256 CHECK (octet_length(hash) = 32),
  issued_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  CONSTRAINT credential_must_be_short_lived
    CHECK (expires_at > issued_at AND expires_at <= issued_at + interval '10 minutes')
);
CREATE INDEX credentials_by_grant ON credentials (grant_id);

-- Things that count once --------------------------------------------------------------------------------------------

-- Hashes of proofs and assertions that were used: shared by all brokers, kept until they would be refused for their age.
CREATE TABLE used_proofs (
  hash bytea PRIMARY KEY,
  expires_at timestamptz NOT NULL
);
CREATE INDEX used_proofs_by_expiry ON used_proofs (expires_at);

CREATE TABLE idempotent_answers (
  person typeid NOT NULL REFERENCES persons,
  key text NOT NULL,
  body_hash bytea NOT NULL,
  answer bytea,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (person, key)
);
CREATE INDEX idempotent_answers_by_expiry ON idempotent_answers (expires_at);

-- Telling ------------------------------------------------------------------------------------------------------------

CREATE TABLE alarms (
  id typeid PRIMARY KEY,
  kind text NOT NULL,
  subject typeid NOT NULL,
  tenant typeid REFERENCES tenants,
  since timestamptz NOT NULL,
  closed_at timestamptz,
  CONSTRAINT closing_must_follow_raising CHECK (closed_at >= since)
);
CREATE UNIQUE INDEX one_open_alarm_per_subject ON alarms (kind, subject) WHERE closed_at IS NULL;
CREATE INDEX alarms_by_subject ON alarms (subject, kind);
CREATE INDEX alarms_by_tenant ON alarms (tenant, id DESC);

-- What somebody must be told, for one person or for everyone of a team.
CREATE TABLE notices (
  id typeid PRIMARY KEY,
  person typeid REFERENCES persons,
  team text,
  kind text NOT NULL,
  subject typeid NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT notice_must_be_for_somebody CHECK ((person IS NULL) <> (team IS NULL))
);
CREATE INDEX notices_by_person ON notices (person, id DESC) WHERE person IS NOT NULL;
CREATE INDEX notices_by_team ON notices (team, id DESC) WHERE team IS NOT NULL;

-- Every bundle that was ever in force, whole, so that any decision can be made again.
CREATE TABLE policy_bundles (
  digest text PRIMARY KEY,
  files jsonb NOT NULL,
  loaded_at timestamptz NOT NULL
);

-- What is fixed when a thing is made stays so ------------------------------------------------------------------------

-- The trigger's name is the sentence; its condition, evaluated without calling anything, is the rule.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% % may not change so: %', TG_TABLE_NAME, OLD.id, TG_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
END
$$;

CREATE TRIGGER request_is_fixed_when_made BEFORE UPDATE ON requests FOR EACH ROW WHEN (
    (OLD.id, OLD.requester, OLD.tenant, OLD.profile, OLD.devices, OLD.scopes, OLD.data_classes, OLD.duration,
     OLD.longest, OLD.longest_total, OLD.stages, OLD.reason, OLD.ticket, OLD.extends, OLD.created_at,
     OLD.starts_at, OLD.lapses_at, OLD.policy_digest)
    IS DISTINCT FROM
    (NEW.id, NEW.requester, NEW.tenant, NEW.profile, NEW.devices, NEW.scopes, NEW.data_classes, NEW.duration,
     NEW.longest, NEW.longest_total, NEW.stages, NEW.reason, NEW.ticket, NEW.extends, NEW.created_at,
     NEW.starts_at, NEW.lapses_at, NEW.policy_digest)
) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER request_must_be_decided_once BEFORE UPDATE ON requests FOR EACH ROW
  WHEN (OLD.state <> 'pending') EXECUTE FUNCTION refuse_change();

CREATE TRIGGER grant_is_fixed_when_made BEFORE UPDATE ON grants FOR EACH ROW WHEN (
    (OLD.id, OLD.request, OLD.person, OLD.tenant, OLD.profile, OLD.scopes, OLD.duration, OLD.starts_at,
     OLD.review_due_at)
    IS DISTINCT FROM
    (NEW.id, NEW.request, NEW.person, NEW.tenant, NEW.profile, NEW.scopes, NEW.duration, NEW.starts_at,
     NEW.review_due_at)
) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ended_grant_must_stay_ended BEFORE UPDATE ON grants FOR EACH ROW WHEN (
    OLD.ending IS NOT NULL AND (OLD.ending, OLD.ended_at, OLD.ended_by, OLD.end_reason, OLD.expires_at)
      IS DISTINCT FROM (NEW.ending, NEW.ended_at, NEW.ended_by, NEW.end_reason, NEW.expires_at)
    OR OLD.expiry_recorded_at IS NOT NULL AND (OLD.expiry_recorded_at, OLD.expires_at)
      IS DISTINCT FROM (NEW.expiry_recorded_at, NEW.expires_at)
) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER grant_must_not_be_shortened BEFORE UPDATE ON grants FOR EACH ROW
  WHEN (NEW.expires_at < OLD.expires_at) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER key_is_fixed_by_first_credential BEFORE UPDATE ON grants FOR EACH ROW
  WHEN (OLD.key_thumbprint IS NOT NULL AND OLD.key_thumbprint IS DISTINCT FROM NEW.key_thumbprint)
  EXECUTE FUNCTION refuse_change();
CREATE TRIGGER review_must_be_given_once BEFORE UPDATE ON grants FOR EACH ROW
  WHEN (OLD.review_verdict IS NOT NULL
    AND (OLD.review_verdict, OLD.review_by) IS DISTINCT FROM (NEW.review_verdict, NEW.review_by))
  EXECUTE FUNCTION refuse_change();

CREATE TRIGGER device_is_fixed_when_enrolled BEFORE UPDATE ON devices FOR EACH ROW WHEN (
    (OLD.id, OLD.tenant, OLD.public_key, OLD.key_thumbprint, OLD.enrolled_at)
    IS DISTINCT FROM
    (NEW.id, NEW.tenant, NEW.public_key, NEW.key_thumbprint, NEW.enrolled_at)
) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER tenant_is_fixed_when_made BEFORE UPDATE ON tenants FOR EACH ROW WHEN (
    (OLD.id, OLD.slug, OLD.region, OLD.created_at)
    IS DISTINCT FROM
    (NEW.id, NEW.slug, NEW.region, NEW.created_at)
) EXECUTE FUNCTION refuse_change();

RESET ROLE;
