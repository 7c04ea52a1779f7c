import { loadBundle } from './bundle.ts';
import type { Bundle } from './bundle.ts';
import { readCases } from './case-file.ts';
import type { Cases } from './case-file.ts';
import { expand } from './case-questions.ts';
import type { SingleCase } from './case-questions.ts';
import { decide } from './decide.ts';
import { compareText, inReadingOrder } from './mistake.ts';
import type { Mistake } from './mistake.ts';
import { decidableTeams, look } from './visibility.ts';

/** What a case expects, or what came out: the outcome and the policies (or reasons) that decided. */
export interface Outcome {
  readonly outcome: string;
  /** Null in what is expected when the case does not say. */
  readonly by: readonly string[] | null;
}

export interface CaseResult {
  readonly file: string;
  readonly line: number;
  readonly title: string;
  readonly passed: boolean;
  readonly expected: Outcome;
  readonly actual: Outcome;
}

export type TestedBundle =
  | { readonly ok: false; readonly mistakes: readonly Mistake[] }
  | {
      readonly ok: true;
      readonly digest: string;
      readonly results: readonly CaseResult[];
      /** The policies that decided in no case. */
      readonly untested: readonly string[];
    };

export type CheckedBundle =
  | { readonly ok: false; readonly mistakes: readonly Mistake[] }
  | {
      readonly ok: true;
      readonly digest: string;
      readonly policies: number;
      readonly profiles: number;
      readonly cases: number;
    };

/** Looks for mistakes in a bundle's files and in its cases, without running them. */
export function checkBundle(files: ReadonlyMap<string, string>): CheckedBundle {
  const read = readAll(files);
  if (!read.ok) return read;
  const { digest, engine, profiles } = read.bundle;
  return { ok: true, digest, policies: engine.policies.size, profiles: profiles.size, cases: read.cases.length };
}

/** Runs every case of a bundle against it. */
export function testBundle(files: ReadonlyMap<string, string>): TestedBundle {
  const read = readAll(files);
  if (!read.ok) return read;
  const { bundle } = read;
  const results = read.cases.map((single) => run(bundle, single));
  const decided = new Set(results.flatMap(({ actual }) => actual.by ?? []));
  const untested = [...bundle.engine.policies.keys()].filter((id) => !decided.has(id));
  return { ok: true, digest: bundle.digest, results, untested };
}

type ReadAll =
  | { readonly ok: false; readonly mistakes: readonly Mistake[] }
  | { readonly ok: true; readonly bundle: Bundle; readonly cases: readonly SingleCase[] };

function readAll(files: ReadonlyMap<string, string>): ReadAll {
  const sorted = new Map([...files].sort(([a], [b]) => compareText(a, b)));
  const loaded = loadBundle(sorted);
  const { cases, mistakes } = readCases(sorted);
  if (!loaded.ok) return { ok: false, mistakes: inReadingOrder([...loaded.mistakes, ...mistakes]) };
  // A case speaks of profiles and stages, so its names are looked at only in a bundle that is good.
  const expanded = mistakes.length > 0 ? { singles: [], wrong: [] } : expandAll(loaded.bundle, cases);
  const all = [...mistakes, ...expanded.wrong];
  if (all.length > 0) return { ok: false, mistakes: inReadingOrder(all) };
  return { ok: true, bundle: loaded.bundle, cases: expanded.singles };
}

function expandAll(bundle: Bundle, { world, cases }: Cases): { singles: SingleCase[]; wrong: Mistake[] } {
  const expanded = cases.map((placed) => expand(bundle, world, placed));
  return {
    singles: expanded.flatMap((one) => ('cases' in one ? one.cases : [])),
    wrong: expanded.flatMap((one) => ('mistakes' in one ? one.mistakes : [])),
  };
}

function run(bundle: Bundle, single: SingleCase): CaseResult {
  const { file, line } = single.placed;
  const expected = expectedOf(single);
  const actual = actualOf(bundle, single);
  const sameBy = expected.by === null || sorted(expected.by).join() === sorted(actual.by ?? []).join();
  const passed = expected.outcome === actual.outcome && sameBy;
  return { file, line, title: single.title, passed, expected, actual };
}

function expectedOf({ placed: { written } }: SingleCase): Outcome {
  const { decidesFor, expect, by = null } = written;
  const outcome = decidesFor ?? expect ?? [];
  return { outcome: typeof outcome === 'string' ? outcome : listed(outcome), by };
}

function actualOf(bundle: Bundle, { person, asked }: SingleCase): Outcome {
  if (asked === 'decidable-teams') return { outcome: listed(decidableTeams(bundle, person)), by: null };
  if ('sees' in asked) {
    const { visibility, policies } = look(bundle, person, asked.sees);
    const tenants = visibility.tenants.map((slug) => `tenant:${slug}`);
    const seen = [...(visibility.all ? ['all'] : []), ...(visibility.own ? ['own'] : []), ...tenants];
    return { outcome: listed(seen), by: policies };
  }
  const { allowed, policies, reasons } = decide(bundle, asked.question);
  return { outcome: allowed ? 'yes' : 'no', by: allowed ? policies : reasons.map(({ policy }) => policy) };
}

function listed(words: readonly string[]): string {
  return words.length === 0 ? 'nothing' : sorted(words).join(' ');
}

function sorted(words: readonly string[]): string[] {
  return [...words].sort(compareText);
}
