-- Erasing what is known of a person, and which policy bundle is in force.

SET LOCAL ROLE latchkey_admin;

-- Tokens from before this moment say nothing new of the person.
ALTER TABLE persons ADD COLUMN erased_at timestamptz;

-- Whom a text is about, where that is not who wrote it.
ALTER TABLE disclosures ADD COLUMN about typeid REFERENCES persons;
UPDATE disclosures SET about = d.requester FROM decisions d WHERE d.comment = disclosures.commitment;
UPDATE disclosures SET about = g.person FROM grants g WHERE g.end_reason = disclosures.commitment;
CREATE INDEX disclosures_by_whom_they_are_about ON disclosures (about) WHERE about IS NOT NULL;

-- Deletes all that is known of one person: names and addresses, their own words and those of others about them, what
-- decisions saw of them, and what their provider said. What stays is the id. The broker may call it; it
-- has no right of its own to delete a name.
-- @returns whether there was anything left to erase.
CREATE FUNCTION erase_person(wanted text, since timestamptz) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  names bigint;
  texts bigint;
BEGIN
  -- The row is locked first, as by whoever writes down a token: what comes after looks at `erased_at`.
  UPDATE public.persons SET teams = '{}', employer = NULL, region = NULL, training_valid_until = NULL,
    claims_at = greatest(claims_at, since), erased_at = since WHERE id = wanted;
  DELETE FROM public.personal_data WHERE person = wanted;
  GET DIAGNOSTICS names = ROW_COUNT;
  DELETE FROM public.disclosures WHERE person = wanted OR about = wanted;
  GET DIAGNOSTICS texts = ROW_COUNT;
  RETURN names + texts > 0;
END
$$;
REVOKE ALL ON FUNCTION erase_person(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_person(text, timestamptz) TO latchkey_app;

-- One row: the bundle that came into force last, so that several brokers which load it make one fact of it.
CREATE TABLE policy_in_force (
  singular boolean PRIMARY KEY DEFAULT true CONSTRAINT policy_in_force_must_be_one CHECK (singular),
  digest text NOT NULL REFERENCES policy_bundles
);
INSERT INTO policy_in_force (digest) SELECT digest FROM policy_bundles ORDER BY loaded_at DESC LIMIT 1;
GRANT SELECT, INSERT, UPDATE (digest) ON policy_in_force TO latchkey_app;

RESET ROLE;
