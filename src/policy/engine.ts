import { preparsePolicySet, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs';
import type { CedarValueJson, EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import { onlyRead } from './reads.ts';
import type { Path } from './reads.ts';

/** One policy as the engine and the explanations need it. */
export interface Policy {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly text: string;
  readonly message: string | null;
  readonly remedy: string | null;
  /** The actions and groups its scope names; null when it names none and so speaks of all. */
  readonly actions: readonly string[] | null;
  /** What of the context it can read. */
  readonly reads: readonly Path[];
}

/** The policies of one bundle, ready to be asked. */
export interface Engine {
  /** Names this content: engines of equal keys have equal policies. */
  readonly key: string;
  readonly policies: ReadonlyMap<string, Policy>;
  /** Every action of the schema, with all the groups it belongs to, directly or not. */
  readonly actions: ReadonlyMap<string, readonly string[]>;
  /** The device facts that the schema declares, with their types; nothing else of a device reaches a policy. */
  readonly facts: ReadonlyMap<string, FactType>;
}

export type FactType = 'String' | 'Long' | 'Bool';

/** What the engine is asked, as plain JSON; kept with each decision so that it can be made again. */
export interface Inputs {
  readonly principal: TypeAndId;
  readonly action: TypeAndId;
  readonly resource: TypeAndId;
  readonly context: Record<string, CedarValueJson>;
  readonly entities: EntityJson[];
}

export interface Answer {
  readonly allowed: boolean;
  /** Ids of the policies that decided, in the bundle's order. */
  readonly determining: readonly string[];
  /** What could not be evaluated: `policy` is null when the question itself was refused. */
  readonly errors: readonly { readonly policy: string | null; readonly message: string }[];
}

/**
 * Asks. Whatever goes wrong is an answer with errors and `allowed` false, for a policy that cannot be evaluated might
 * have been a forbid.
 */
export function ask(engine: Engine, inputs: Inputs): Answer {
  try {
    const { slot, reads } = preparedFor(engine, inputs.action.id);
    const context = onlyRead(inputs.context, reads);
    const answer = statefulIsAuthorized({ ...inputs, context, preparsedPolicySetId: slot });
    if (answer.type === 'failure') return refused(answer.errors.map((error) => error.message).join('; '));
    const { decision, diagnostics } = answer.response;
    const errors = diagnostics.errors.map(({ policyId, error }) => ({ policy: policyId, message: error.message }));
    return {
      allowed: decision === 'allow' && errors.length === 0,
      determining: inOrder(engine, diagnostics.reason),
      errors: inOrder(
        engine,
        errors.map(({ policy }) => policy),
      ).map((id) => errors.find(({ policy }) => policy === id)!),
    };
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error));
  }
}

function refused(message: string): Answer {
  return { allowed: false, determining: [], errors: [{ policy: null, message }] };
}

function inOrder(engine: Engine, ids: readonly string[]): string[] {
  const wanted = new Set(ids);
  return [...engine.policies.keys()].filter((id) => wanted.has(id));
}

// The engine keeps pre-parsed sets by name and never lets go of a name, so there are a fixed number of names, reused
// from the one that was asked longest ago. A bundle whose names were taken is parsed again when it is next asked.
const slotCount = 96;
const prepared = new Map<string, Prepared>();

interface Prepared {
  readonly slot: string;
  readonly reads: readonly Path[];
}

/**
 * The pre-parsed set for one action. Each action has a set of its own with only the policies that can speak of it:
 * evaluation takes time for each policy of the set, whether or not it applies.
 */
function preparedFor(engine: Engine, action: string): Prepared {
  const key = `${engine.key} ${engine.actions.has(action) ? action : ''}`;
  const found = prepared.get(key);
  if (found !== undefined) {
    prepared.delete(key);
    prepared.set(key, found);
    return found;
  }
  const oldest = prepared.size < slotCount ? undefined : prepared.entries().next().value;
  const slot = oldest ? oldest[1].slot : `slot-${prepared.size}`;
  const policies = policiesFor(engine, action);
  const staticPolicies = Object.fromEntries(policies.map((policy) => [policy.id, policy.text]));
  const parsed = preparsePolicySet(slot, { staticPolicies });
  if (parsed.type === 'failure') throw new Error(parsed.errors.map((error) => error.message).join('; '));
  if (oldest) prepared.delete(oldest[0]);
  const entry = { slot, reads: uniquePaths(policies.flatMap(({ reads }) => reads)) };
  prepared.set(key, entry);
  return entry;
}

function policiesFor(engine: Engine, action: string): Policy[] {
  const names = new Set([action, ...(engine.actions.get(action) ?? [])]);
  return [...engine.policies.values()].filter(
    ({ actions }) => actions === null || actions.some((name) => names.has(name)),
  );
}

function uniquePaths(paths: readonly Path[]): Path[] {
  return [...new Map(paths.map((path) => [JSON.stringify(path), path])).values()];
}
