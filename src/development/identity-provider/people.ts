/** Someone to sign in as while developing: what the provider says of them, in the words of the default policies. */
export interface SamplePerson {
  readonly username: string;
  /** The `oid` claim, the same on every machine and at every start. */
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly teams: readonly string[];
  readonly employer: 'provider' | 'subcontractor' | 'customer';
  readonly region: string;
  /** Days from now on which the training runs out; negative when it already has. */
  readonly trainingDays: number;
  /** What this person is for, in a few words for the page that lists them. */
  readonly role: string;
}

/** The sample people: everyone that the default policies tell apart, and one whose training has run out. */
export const samplePeople: readonly SamplePerson[] = [
  {
    username: 'ada',
    id: '6f0c1d52-0c4e-4a1b-9d0b-3b1f5a7e2c01',
    name: 'Ada Okafor',
    email: 'ada.okafor@provider.example',
    teams: ['room-ops'],
    employer: 'provider',
    region: 'EU',
    trainingDays: 180,
    role: 'Engineer: asks for access',
  },
  {
    username: 'ben',
    id: '6f0c1d52-0c4e-4a1b-9d0b-3b1f5a7e2c02',
    name: 'Ben Lindqvist',
    email: 'ben.lindqvist@subcontractor.example',
    teams: ['room-ops'],
    employer: 'subcontractor',
    region: 'EU',
    trainingDays: 180,
    role: 'Engineer of a subcontractor: may ask for less',
  },
  {
    username: 'chloe',
    id: '6f0c1d52-0c4e-4a1b-9d0b-3b1f5a7e2c03',
    name: 'Chloé Marchetti',
    email: 'chloe.marchetti@provider.example',
    teams: ['room-leads'],
    employer: 'provider',
    region: 'EU',
    trainingDays: 180,
    role: 'Lead: approves, and breaks glass in an emergency',
  },
  {
    username: 'dmitri',
    id: '6f0c1d52-0c4e-4a1b-9d0b-3b1f5a7e2c04',
    name: 'Dmitri Sokolov',
    email: 'dmitri.sokolov@provider.example',
    teams: ['room-leads'],
    employer: 'provider',
    region: 'EU',
    trainingDays: 180,
    role: 'Second lead: reviews what the first one did',
  },
  {
    username: 'priya',
    id: '6f0c1d52-0c4e-4a1b-9d0b-3b1f5a7e2c05',
    name: 'Priya Raman',
    email: 'priya.raman@provider.example',
    teams: ['privacy-office'],
    employer: 'provider',
    region: 'EU',
    trainingDays: 180,
    role: 'Privacy office: approves what touches personal data',
  },
  {
    username: 'carmen',
    id: '6f0c1d52-0c4e-4a1b-9d0b-3b1f5a7e2c06',
    name: 'Carmen Ortiz',
    email: 'carmen.ortiz@contoso.example',
    teams: ['customer-approvers:contoso'],
    employer: 'customer',
    region: 'EU',
    trainingDays: 180,
    role: 'Customer Contoso: decides about its own rooms',
  },
  {
    username: 'felix',
    id: '6f0c1d52-0c4e-4a1b-9d0b-3b1f5a7e2c07',
    name: 'Felix Baumann',
    email: 'felix.baumann@fabrikam.example',
    teams: ['customer-approvers:fabrikam'],
    employer: 'customer',
    region: 'EU',
    trainingDays: 180,
    role: 'Customer Fabrikam: decides about its own rooms',
  },
  {
    username: 'olu',
    id: '6f0c1d52-0c4e-4a1b-9d0b-3b1f5a7e2c08',
    name: 'Olu Adeyemi',
    email: 'olu.adeyemi@provider.example',
    teams: ['operators'],
    employer: 'provider',
    region: 'EU',
    trainingDays: 180,
    role: 'Operator: looks after tenants and devices',
  },
  {
    username: 'aud',
    id: '6f0c1d52-0c4e-4a1b-9d0b-3b1f5a7e2c09',
    name: 'Aud Nakamura',
    email: 'aud.nakamura@provider.example',
    teams: ['auditors'],
    employer: 'provider',
    region: 'EU',
    trainingDays: 180,
    role: 'Auditor: sees everything, does nothing',
  },
  {
    username: 'zed',
    id: '6f0c1d52-0c4e-4a1b-9d0b-3b1f5a7e2c0a',
    name: 'Zed Hoffmann',
    email: 'zed.hoffmann@provider.example',
    teams: ['room-ops'],
    employer: 'provider',
    region: 'EU',
    trainingDays: -30,
    role: 'Engineer whose training has run out',
  },
];

const day = 86_400_000;

/**
 * What an access token says of someone, by the claim names of `developmentProviderConfig`.
 * @param now milliseconds since the epoch.
 */
export function claimsOf(person: SamplePerson, now: number): Record<string, unknown> {
  return {
    oid: person.id,
    name: person.name,
    preferred_username: person.email,
    groups: person.teams,
    region: person.region,
    employer: person.employer,
    training_valid_until: new Date(now + person.trainingDays * day).toISOString(),
  };
}
