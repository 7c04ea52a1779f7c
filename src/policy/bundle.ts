import { createHash } from 'node:crypto';
import { validate } from '@cedar-policy/cedar-wasm/nodejs';
import type { Profile } from '../domain/profile.ts';
import type { Engine } from './engine.ts';
import { compareText, inReadingOrder, mistakeAt } from './mistake.ts';
import type { Mistake } from './mistake.ts';
import { engineMistakes, readPolicies } from './policy-file.ts';
import type { PlacedPolicy } from './policy-file.ts';
import { readProfile } from './profile-file.ts';
import { questionMistakes } from './sample-questions.ts';
import { readSchema } from './schema-file.ts';
import type { PolicySchema } from './schema-file.ts';

/** Policies, schema and profiles that were found good together; never changes. */
export interface Bundle {
  /** `sha256:` and the hex SHA-256 of the files' names and contents, in order of name; the cases do not count. */
  readonly digest: string;
  /** By name, in order of name. */
  readonly profiles: ReadonlyMap<string, Profile>;
  /** What the digest is of: path below the bundle's directory → text. */
  readonly files: ReadonlyMap<string, string>;
  readonly engine: Engine;
}

export type LoadedBundle =
  { readonly ok: true; readonly bundle: Bundle } | { readonly ok: false; readonly mistakes: readonly Mistake[] };

/**
 * Makes a bundle of a directory's files (path below it, with `/`, → text), whole or not at all: every mistake that can
 * be told is reported at once, and no bundle loaded before is touched. Cases in `tests/`, `*.md` and dot files do not
 * belong to it. Never throws.
 */
export function loadBundle(files: ReadonlyMap<string, string>): LoadedBundle {
  try {
    return load(files);
  } catch (error) {
    const message = `the policy engine gave up: ${error instanceof Error ? error.message : String(error)}`;
    return { ok: false, mistakes: [{ file: 'schema.cedarschema', line: 1, column: 1, message }] };
  }
}

function load(files: ReadonlyMap<string, string>): LoadedBundle {
  const own = new Map([...files].filter(([file]) => belongs(file)).sort(([a], [b]) => compareText(a, b)));
  const strange = [...own.keys()].filter((file) => kindOf(file) === null);
  const mistakes = strange.map((file) =>
    mistakeAt(
      file,
      '',
      0,
      'not part of a bundle: expected `*.cedar`, `*.cedarschema`, `profiles/*.json`, `tests/*.json`',
    ),
  );

  const { schema, mistakes: inSchema } = readSchema(ofKind(own, 'schema'));
  const { policies, mistakes: inPolicies } = readAllPolicies(ofKind(own, 'policies'));
  const { profiles, mistakes: inProfiles } = readAllProfiles(ofKind(own, 'profile'));
  mistakes.push(...inSchema, ...inPolicies, ...inProfiles);

  const digest = digestOf(own);
  const engine: Engine = {
    key: digest,
    policies: new Map(policies.map((policy) => [policy.id, policy])),
    actions: schema?.actions ?? new Map(),
    facts: schema?.facts ?? new Map(),
  };
  if (schema) {
    mistakes.push(...validationMistakes(schema, policies, own));
    if (inSchema.length === 0) mistakes.push(...questionMistakes(schema, engine));
  }
  if (mistakes.length > 0) return { ok: false, mistakes: inReadingOrder(mistakes) };
  return { ok: true, bundle: { digest, profiles, files: own, engine } };
}

type Kind = 'schema' | 'policies' | 'profile';

function belongs(file: string): boolean {
  return !file.startsWith('tests/') && !file.endsWith('.md') && !file.split('/').some((part) => part.startsWith('.'));
}

function kindOf(file: string): Kind | null {
  if (/^[^/]+\.cedarschema$/.test(file)) return 'schema';
  if (/^[^/]+\.cedar$/.test(file)) return 'policies';
  if (/^profiles\/[^/]+\.json$/.test(file)) return 'profile';
  return null;
}

function ofKind(files: ReadonlyMap<string, string>, kind: Kind): { file: string; text: string }[] {
  return [...files].filter(([file]) => kindOf(file) === kind).map(([file, text]) => ({ file, text }));
}

function readAllPolicies(files: { file: string; text: string }[]): { policies: PlacedPolicy[]; mistakes: Mistake[] } {
  const read = files.map(({ file, text }) => readPolicies(file, text));
  const policies = read.flatMap((one) => one.policies);
  const first = new Map<string, PlacedPolicy>();
  const twice: Mistake[] = [];
  const texts = new Map(files.map(({ file, text }) => [file, text]));
  for (const policy of policies) {
    const earlier = first.get(policy.id);
    if (!earlier) first.set(policy.id, policy);
    else {
      const there = mistakeAt(earlier.file, texts.get(earlier.file)!, earlier.start, '');
      const message = `\`@id("${policy.id}")\` is already at ${there.file}:${there.line}`;
      twice.push(mistakeAt(policy.file, texts.get(policy.file)!, policy.start, message));
    }
  }
  return { policies, mistakes: [...read.flatMap((one) => one.mistakes), ...twice] };
}

function readAllProfiles(files: { file: string; text: string }[]): {
  profiles: Map<string, Profile>;
  mistakes: Mistake[];
} {
  const read = files.map(({ file, text }) => readProfile(file, text));
  const profiles = read.flatMap(({ profile }) => (profile ? [[profile.name, profile] as const] : []));
  return { profiles: new Map(profiles), mistakes: read.flatMap(({ mistakes }) => mistakes) };
}

/** Strict validation; a policy that can never apply is a mistake as well. */
function validationMistakes(
  schema: PolicySchema,
  policies: readonly PlacedPolicy[],
  files: ReadonlyMap<string, string>,
): Mistake[] {
  // Numbered, not by their ids: two policies of one id are both looked at.
  const staticPolicies = Object.fromEntries(policies.map(({ text }, i) => [`p${i}`, text]));
  const answer = validate({
    schema: schema.text,
    policies: { staticPolicies },
    validationSettings: { mode: 'strict' },
  });
  if (answer.type === 'failure') return answer.errors.map((error) => schema.mistake(/^/, error.message));
  return [...answer.validationErrors, ...answer.validationWarnings].flatMap(({ policyId, error }) => {
    const policy = policies[Number(policyId.slice(1))]!;
    return engineMistakes(policy.file, files.get(policy.file)!, policy, error);
  });
}

function digestOf(files: ReadonlyMap<string, string>): string {
  return `sha256:${createHash('sha256')
    .update(JSON.stringify([...files]))
    .digest('hex')}`;
}
