/**
 * What the contract says of requests and grants (§4), written a second time and as plainly as possible: numbers and
 * sets instead of types, no code shared with `src/domain`. Tests run both side by side.
 */

export interface ModelTerms {
  duration: number;
  scopes: string[];
  devices: string[];
}

export interface ModelRequest {
  readonly requester: string;
  readonly stages: readonly { readonly name: string; readonly needs: number }[];
  readonly asked: ModelTerms;
  readonly startsAt: number | null;
  readonly lapsesAt: number;
  /** The grant that it would extend. */
  readonly extends: ModelGrant | null;
  readonly approvals: { readonly by: string; readonly stage: string; readonly narrow: Partial<ModelTerms> | null }[];
  outcome: 'granted' | 'denied' | 'cancelled' | null;
}

export interface ModelGrant {
  readonly holder: string;
  readonly terms: ModelTerms;
  readonly startsAt: number;
  expiresAt: number;
  ended: 'revoked' | 'released' | null;
}

/** Why something is refused, as an error code; null when it is not. */
export type Refusal = 'not-permitted' | 'conflict' | 'invalid-request' | null;

/** Persons are `a1`, `a2`, `b1`, …: the letter is the human. */
export const humanOf = (person: string): string => person[0]!;

export function requestStateOf(request: ModelRequest, now: number): string {
  return request.outcome ?? (now < request.lapsesAt ? 'pending' : 'lapsed');
}

export function grantStateOf(grant: ModelGrant, now: number): string {
  if (grant.ended) return grant.ended;
  if (now >= grant.expiresAt) return 'expired';
  return now >= grant.startsAt ? 'active' : 'scheduled';
}

export function isOver(grant: ModelGrant, now: number): boolean {
  return !['scheduled', 'active'].includes(grantStateOf(grant, now));
}

export function whyNoApproval(
  request: ModelRequest,
  by: string,
  stage: string,
  narrow: Partial<ModelTerms> | null,
  now: number,
): Refusal {
  if (requestStateOf(request, now) !== 'pending') return 'conflict';
  if (humanOf(by) === humanOf(request.requester)) return 'not-permitted';
  if (request.approvals.some((approval) => humanOf(approval.by) === humanOf(by))) return 'not-permitted';
  if (missing(request, stage) === 0) return 'conflict';
  if (narrow && request.extends && (narrow.scopes ?? narrow.devices)) return 'invalid-request';
  const { asked } = request;
  if ((narrow?.duration ?? 0) > asked.duration) return 'invalid-request';
  if (narrow?.scopes?.some((scope) => !asked.scopes.includes(scope))) return 'invalid-request';
  if (narrow?.devices?.some((device) => !asked.devices.includes(device))) return 'invalid-request';
  const left = termsLeft(request, narrow);
  return left.scopes.length === 0 || left.devices.length === 0 || left.duration < 1 ? 'invalid-request' : null;
}

/** How many approvals a stage still needs. */
export function missing(request: ModelRequest, stage: string): number {
  const needs = request.stages.find(({ name }) => name === stage)?.needs ?? 0;
  return needs - request.approvals.filter((approval) => approval.stage === stage).length;
}

export function isPassed(request: ModelRequest): boolean {
  return request.stages.every(({ name }) => missing(request, name) === 0);
}

/** What all approvals together, and one more, leave of what was asked. */
export function termsLeft(request: ModelRequest, more: Partial<ModelTerms> | null = null): ModelTerms {
  const narrows = [...request.approvals.map(({ narrow }) => narrow), more].filter((narrow) => narrow !== null);
  return {
    duration: Math.min(request.asked.duration, ...narrows.map((narrow) => narrow.duration ?? Infinity)),
    scopes: request.asked.scopes.filter((scope) => narrows.every((n) => !n.scopes || n.scopes.includes(scope))),
    devices: request.asked.devices.filter((device) => narrows.every((n) => !n.devices || n.devices.includes(device))),
  };
}

/** Where an extension granted now moves a grant's end to, or why it does not. */
export function extensionOf(
  grant: ModelGrant,
  duration: number,
  bounds: { readonly longest: number; readonly longestTotal: number },
  now: number,
): number | 'conflict' {
  if (grantStateOf(grant, now) !== 'active') return 'conflict';
  const wanted = grant.expiresAt + duration * 1000;
  const latest = Math.min(now + bounds.longest * 1000, grant.startsAt + bounds.longestTotal * 1000);
  const end = wanted < latest ? wanted : latest;
  return end > grant.expiresAt ? end : 'conflict';
}
