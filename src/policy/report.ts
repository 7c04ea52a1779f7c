import { checkBundle, testBundle } from './cases.ts';
import type { CaseResult, Outcome } from './cases.ts';
import type { Mistake } from './mistake.ts';

/** What a command says: text for people, one JSON document for programs, and how it ends (contract §1). */
export interface Report {
  readonly text: string;
  readonly json: unknown;
  readonly exitCode: 0 | 1;
}

/** `latchkey policy check`: every mistake of a bundle with its place, or what the bundle holds. */
export function policyCheck(files: ReadonlyMap<string, string>): Report {
  const checked = checkBundle(files);
  if (!checked.ok) return broken(checked.mistakes);
  const { digest, policies, profiles, cases } = checked;
  const holds = `${count(policies, 'policy', 'policies')}, ${count(profiles, 'profile')}, ${count(cases, 'case')}`;
  return { text: `no mistakes: ${holds}\n${digest}\n`, json: checked, exitCode: 0 };
}

/** `latchkey policy test`: every case with what came out and which policy decided; misses are spelled out. */
export function policyTest(files: ReadonlyMap<string, string>): Report {
  const tested = testBundle(files);
  if (!tested.ok) return broken(tested.mistakes);
  const { digest, results, untested } = tested;
  const missed = results.filter(({ passed }) => !passed);
  const lines = [
    ...caseLines(results),
    '',
    ...(untested.length > 0 ? [`no case is decided by: ${untested.join(', ')}`] : []),
    `${count(results.length, 'case')}, ${missed.length === 0 ? 'all as expected' : `${missed.length} not as expected`}`,
    digest,
  ];
  const ok = missed.length === 0 && results.length > 0;
  return { text: `${lines.join('\n')}\n`, json: { ...tested, ok }, exitCode: ok ? 0 : 1 };
}

function broken(mistakes: readonly Mistake[]): Report {
  const lines = mistakes.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`);
  const files = new Set(mistakes.map(({ file }) => file));
  const summary = `${count(mistakes.length, 'mistake')} in ${count(files.size, 'file')}`;
  return { text: `${[...lines, '', summary].join('\n')}\n`, json: { ok: false, mistakes }, exitCode: 1 };
}

function caseLines(results: readonly CaseResult[]): string[] {
  const widest = Math.max(0, ...results.map(({ title }) => title.length));
  const width = Math.min(widest, 72);
  let file = '';
  return results.flatMap((result) => {
    const header = result.file === file ? [] : [...(file === '' ? [] : ['']), result.file];
    ({ file } = result);
    const place = String(result.line).padStart(5);
    if (result.passed) return [...header, `${place}  ok    ${result.title.padEnd(width)}  ${told(result.actual)}`];
    return [
      ...header,
      `${place}  MISS  ${result.title}`,
      `             expected  ${told(result.expected)}`,
      `             actual    ${told(result.actual)}`,
    ];
  });
}

function told({ outcome, by }: Outcome): string {
  return by === null || by.length === 0 ? outcome : `${outcome}  by ${by.join(', ')}`;
}

function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
