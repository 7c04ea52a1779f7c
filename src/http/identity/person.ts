import { ownMember, type JsonObject } from '../../domain/compact-jws.ts';
import { readMoment } from './moment.ts';
import type { IdentityProviderConfig, VerifiedPerson } from './types.ts';

const maxText = 512;
const maxTeams = 500;

export type PersonClaims = Pick<
  VerifiedPerson,
  'name' | 'email' | 'emailFolded' | 'human' | 'teams' | 'employer' | 'region' | 'trainingValidUntil'
>;

/**
 * The subject, which must be a text of at most 512 printable characters and nothing like an e-mail address: those
 * are given to other people in time. Null when it is not.
 */
export function readSubject(claims: JsonObject, { claims: names }: IdentityProviderConfig): string | null {
  const subject = ownMember(claims, names.subject);
  if (typeof subject !== 'string' || subject === '' || subject.length > maxText) return null;
  return subject.includes('@') || subject !== printable(subject) ? null : subject;
}

/** What a token says of a person, as far as its provider is believed. A claim that is absent or of another shape says nothing. */
export function readPerson(claims: JsonObject, provider: IdentityProviderConfig): PersonClaims {
  const { claims: names, allowedEmployers = [] } = provider;
  const claim = (name: string | undefined): unknown => (name === undefined ? undefined : ownMember(claims, name));
  const email = readText(claim(names.email));
  const employer = readText(claim(names.employer));
  return {
    name: readText(claim(names.name)),
    email,
    emailFolded: email === null ? null : foldEmail(email),
    human: readText(claim(names.human)),
    teams: readTeams(claims, provider),
    employer: employer !== null && allowedEmployers.includes(employer) ? employer : null,
    region: readText(claim(names.region)),
    trainingValidUntil: readMoment(claim(names.trainingValidUntil)),
  };
}

/**
 * The form in which e-mail addresses are compared. It rather takes two for one than one for two: that costs an
 * approval, the other way round would let one human give two.
 */
export function foldEmail(email: string): string {
  const once = fold(email);
  return fold(once);
}

function fold(text: string): string {
  return text.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC').trim();
}

function readTeams(claims: JsonObject, provider: IdentityProviderConfig): readonly string[] {
  const { claims: names, allowedTeams = [], teamNames } = provider;
  if (names.teams === undefined || isElsewhere(claims, names.teams)) return [];
  const value = ownMember(claims, names.teams);
  // Some providers write a list of one as a text.
  const values: readonly unknown[] = typeof value === 'string' ? [value] : Array.isArray(value) ? value : [];
  if (values.length > maxTeams || !values.every((item) => typeof item === 'string' && item.length <= maxText))
    return [];
  const named = (values as readonly string[]).map((item) => (teamNames ? ownMember(teamNames, item) : item));
  const believed = named.filter((team): team is string => typeof team === 'string' && allowedTeams.includes(team));
  return [...new Set(believed)].sort();
}

/** OpenID Connect Core 1.0 §5.6.2: the claim is to be fetched elsewhere, as Entra says of too many groups. It counts as absent. */
function isElsewhere(claims: JsonObject, name: string): boolean {
  const distributed = ownMember(claims, '_claim_names');
  return typeof distributed === 'object' && distributed !== null && Object.hasOwn(distributed, name);
}

function readText(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > maxText) return null;
  return printable(value) || null;
}

/** Without control, format and unassigned-by-agreement characters, with plain spaces and none around it. */
function printable(text: string): string {
  return text
    .replaceAll(/[\t\n\r\p{Z}]+/gu, ' ')
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}]/gu, '')
    .trim();
}
