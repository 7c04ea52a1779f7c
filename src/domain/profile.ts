/** The classes of data that a profile may touch, as the privacy description names them. */
export const dataClasses = ['Customer Content', 'EUII', 'Account Data', 'EUPI', 'OII', 'System Metadata'] as const;
export type DataClass = (typeof dataClasses)[number];

/**
 * Who must agree. `from` names teams; `{tenant}` in a team's name stands for the slug of the tenant asked about.
 * `needs` is how many people of those teams.
 */
export interface StageRule {
  readonly name: string;
  readonly from: readonly string[];
  readonly needs: number;
}

/** A named bundle of scopes with its rules. Every duration is in whole seconds. */
export interface Profile {
  readonly name: string;
  readonly title: string;
  readonly scopes: readonly string[];
  readonly dataClasses: readonly DataClass[];
  readonly stages: readonly StageRule[];
  /** The longest a single request, and the rest of a grant after an extension's decision, may last. */
  readonly longest: number;
  /** The longest a grant may live with all its extensions. */
  readonly longestTotal: number;
  /** How long a request waits for its decisions. */
  readonly lapse: number;
  readonly extendable: boolean;
  /** For break-glass: how long after the grant began someone else must have reviewed it; null asks for no review. */
  readonly reviewWithin: number | null;
  /** Teams told at once when a grant of this profile begins; `{tenant}` as in stages. */
  readonly tells: readonly string[];
}

/** Puts the tenant's slug into a team's name. */
export function teamFor(team: string, tenantSlug: string): string {
  return team.replaceAll('{tenant}', tenantSlug);
}
