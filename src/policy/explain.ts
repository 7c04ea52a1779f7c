import type { CedarValueJson } from '@cedar-policy/cedar-wasm/nodejs';
import { formatDuration } from '../domain/duration.ts';
import type { Reason } from '../domain/errors.ts';
import type { Answer, Engine, Inputs } from './engine.ts';

/** Reasons that stand for no policy; no policy may have such an id. */
export const reservedIds: readonly string[] = ['no-policy-permits', 'evaluation-failed'];

/** What a policy's `@message` and `@remedy` may name in braces, and where its value comes from. */
const placeholders: Readonly<Record<string, (inputs: Inputs) => string | null>> = {
  profile: (inputs) => text(recordOf(inputs, 'profile')['name']),
  duration: (inputs) => duration(inputs.context['duration']),
  total: (inputs) => duration(inputs.context['total']),
  longest: (inputs) => duration(recordOf(inputs, 'profile')['longest']),
  longestTotal: (inputs) => duration(recordOf(inputs, 'profile')['longestTotal']),
  stage: (inputs) => text(inputs.context['stage']),
  tenant: (inputs) => text(recordOf(inputs, 'tenant')['slug']),
  region: (inputs) => text(recordOf(inputs, 'tenant')['region']),
};

export const placeholderNames: readonly string[] = Object.keys(placeholders);

/** The names in braces in a message. */
export function placeholdersIn(message: string): string[] {
  return [...message.matchAll(/\{([^{}]*)\}/g)].map((match) => match[1]!);
}

/** Why the answer is no: each forbid that decided, what could not be evaluated, or that nothing permits it. */
export function reasonsFor(engine: Engine, inputs: Inputs, answer: Answer): Reason[] {
  const forbids = answer.determining
    .map((id) => engine.policies.get(id))
    .filter((policy) => policy?.effect === 'forbid')
    .map((policy) => ({
      policy: policy!.id,
      message: fill(policy!.message ?? `\`${policy!.id}\` forbids it`, inputs),
      remedy: policy!.remedy === null ? null : fill(policy!.remedy, inputs),
    }));
  const failures = answer.errors.map(({ policy }) => ({
    policy: policy ?? 'evaluation-failed',
    message: policy === null ? 'the question could not be evaluated' : `\`${policy}\` could not be evaluated`,
    remedy: 'tell whoever keeps the policies',
  }));
  const reasons = [...forbids, ...failures];
  return reasons.length > 0 ? reasons : [nothingPermits(inputs)];
}

function nothingPermits(inputs: Inputs): Reason {
  const profile = placeholders['profile']!(inputs);
  const what = `\`${inputs.action.id}\`${profile === null ? '' : ` with \`${profile}\``}`;
  return { policy: 'no-policy-permits', message: `no policy permits you to ${what}`, remedy: null };
}

function fill(message: string, inputs: Inputs): string {
  return message.replaceAll(/\{([^{}]*)\}/g, (whole, name: string) =>
    Object.hasOwn(placeholders, name) ? (placeholders[name]!(inputs) ?? '-') : whole,
  );
}

function recordOf(inputs: Inputs, name: string): Record<string, CedarValueJson> {
  return (inputs.context[name] ?? {}) as Record<string, CedarValueJson>;
}

function text(value: CedarValueJson | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function duration(value: CedarValueJson | undefined): string | null {
  return typeof value === 'number' ? formatDuration(value) : null;
}
