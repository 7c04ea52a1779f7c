/** Tenants, persons, devices, grants, requests and sessions, as JSON strings. */
const subjectPattern = /"(?:ten|per|dev|grt|req|ses)_[0-7][0-9a-hjkmnp-tv-z]{25}"/g;

/** Whom and what an event speaks of: each id in its bytes, once. */
export function subjectsOf(bytes: Buffer): string[] {
  const found = new Set(bytes.toString('utf8').match(subjectPattern));
  return Array.from(found, (id) => id.slice(1, -1));
}
