-- What is fixed stays fixed, at less cost: a trigger's condition is read anew from its text in every statement that it
-- might concern. Named for its columns, it concerns only statements that write one of them, and the broker's do not.

SET LOCAL ROLE latchkey_admin;

DROP TRIGGER request_is_fixed_when_made ON requests;
CREATE TRIGGER request_is_fixed_when_made BEFORE UPDATE OF id, requester, tenant, profile, devices, scopes, data_classes,
    duration, longest, longest_total, stages, reason, ticket, extends, created_at, starts_at, lapses_at, policy_digest
  ON requests FOR EACH ROW WHEN (
    (OLD.id, OLD.requester, OLD.tenant, OLD.profile, OLD.devices, OLD.scopes, OLD.data_classes, OLD.duration,
     OLD.longest, OLD.longest_total, OLD.stages, OLD.reason, OLD.ticket, OLD.extends, OLD.created_at,
     OLD.starts_at, OLD.lapses_at, OLD.policy_digest)
    IS DISTINCT FROM
    (NEW.id, NEW.requester, NEW.tenant, NEW.profile, NEW.devices, NEW.scopes, NEW.data_classes, NEW.duration,
     NEW.longest, NEW.longest_total, NEW.stages, NEW.reason, NEW.ticket, NEW.extends, NEW.created_at,
     NEW.starts_at, NEW.lapses_at, NEW.policy_digest)
) EXECUTE FUNCTION refuse_change();

DROP TRIGGER grant_is_fixed_when_made ON grants;
CREATE TRIGGER grant_is_fixed_when_made BEFORE UPDATE OF id, request, person, tenant, profile, scopes, duration,
    starts_at, review_due_at
  ON grants FOR EACH ROW WHEN (
    (OLD.id, OLD.request, OLD.person, OLD.tenant, OLD.profile, OLD.scopes, OLD.duration, OLD.starts_at,
     OLD.review_due_at)
    IS DISTINCT FROM
    (NEW.id, NEW.request, NEW.person, NEW.tenant, NEW.profile, NEW.scopes, NEW.duration, NEW.starts_at,
     NEW.review_due_at)
) EXECUTE FUNCTION refuse_change();
DROP TRIGGER ended_grant_must_stay_ended ON grants;
CREATE TRIGGER ended_grant_must_stay_ended BEFORE UPDATE OF ending, ended_at, ended_by, end_reason, expires_at,
    expiry_recorded_at
  ON grants FOR EACH ROW WHEN (
    OLD.ending IS NOT NULL AND (OLD.ending, OLD.ended_at, OLD.ended_by, OLD.end_reason, OLD.expires_at)
      IS DISTINCT FROM (NEW.ending, NEW.ended_at, NEW.ended_by, NEW.end_reason, NEW.expires_at)
    OR OLD.expiry_recorded_at IS NOT NULL AND (OLD.expiry_recorded_at, OLD.expires_at)
      IS DISTINCT FROM (NEW.expiry_recorded_at, NEW.expires_at)
) EXECUTE FUNCTION refuse_change();
DROP TRIGGER grant_must_not_be_shortened ON grants;
CREATE TRIGGER grant_must_not_be_shortened BEFORE UPDATE OF expires_at ON grants FOR EACH ROW
  WHEN (NEW.expires_at < OLD.expires_at) EXECUTE FUNCTION refuse_change();
DROP TRIGGER key_is_fixed_by_first_credential ON grants;
CREATE TRIGGER key_is_fixed_by_first_credential BEFORE UPDATE OF key_thumbprint ON grants FOR EACH ROW
  WHEN (OLD.key_thumbprint IS NOT NULL AND OLD.key_thumbprint IS DISTINCT FROM NEW.key_thumbprint)
  EXECUTE FUNCTION refuse_change();
DROP TRIGGER review_must_be_given_once ON grants;
CREATE TRIGGER review_must_be_given_once BEFORE UPDATE OF review_verdict, review_by ON grants FOR EACH ROW
  WHEN (OLD.review_verdict IS NOT NULL
    AND (OLD.review_verdict, OLD.review_by) IS DISTINCT FROM (NEW.review_verdict, NEW.review_by))
  EXECUTE FUNCTION refuse_change();

RESET ROLE;
