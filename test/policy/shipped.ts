import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from '../../src/domain/ids.ts';
import { loadBundle } from '../../src/policy/index.ts';
import type {
  Bundle,
  DecideQuestion,
  GrantQuestion,
  Mistake,
  PersonFacts,
  TenantFacts,
  UseQuestion,
} from '../../src/policy/index.ts';

const directory = join(import.meta.dirname, '../../policies');

/** The files of the bundle that ships. */
export const shippedFiles: ReadonlyMap<string, string> = new Map(
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => [relative(directory, path).split(sep).join('/'), readFileSync(path, 'utf8')]),
);

/** The shipped files with some replaced or added; null takes one away. */
export function changed(changes: Readonly<Record<string, string | null>>): Map<string, string> {
  const files = new Map(shippedFiles);
  for (const [file, text] of Object.entries(changes)) {
    if (text === null) files.delete(file);
    else files.set(file, text);
  }
  return files;
}

/** One shipped file with a piece of its text replaced; the piece must be there. */
export function edited(file: string, piece: string, replacement: string): Map<string, string> {
  const text = shippedFiles.get(file)!;
  if (!text.includes(piece)) throw new Error(`${file} has no ${piece}`);
  return changed({ [file]: text.replace(piece, () => replacement) });
}

export function loaded(files: ReadonlyMap<string, string> = shippedFiles): Bundle {
  const result = loadBundle(files);
  if (!result.ok) throw new Error(result.mistakes.map(oneLine).join('\n'));
  return result.bundle;
}

export function mistakesIn(files: ReadonlyMap<string, string>): string[] {
  const result = loadBundle(files);
  return result.ok ? [] : result.mistakes.map(oneLine);
}

export function oneLine({ file, line, column, message }: Mistake): string {
  return `${file}:${line}:${column} ${message}`;
}

export const contoso: TenantFacts = { id: 'ten_1' as TenantId, slug: 'contoso', region: 'EU' };
export const now = Date.parse('2026-06-15T09:00:00Z');

export const engineer: PersonFacts = {
  id: 'per_1' as PersonId,
  teams: ['room-ops'],
  employer: 'provider',
  region: 'EU',
  trainingValidUntil: '2027-01-01T00:00:00Z',
};

export function useQuestion(bundle: Bundle, over: Partial<UseQuestion> = {}): UseQuestion {
  return {
    action: 'request',
    person: engineer,
    profile: bundle.profiles.get('remediate')!,
    device: { id: 'dev_1' as DeviceId, tenant: contoso, facts: { serial: '4711' }, inUse: false },
    duration: 1800,
    total: 1800,
    reviewOverdue: false,
    now,
    ...over,
  };
}

export function decideQuestion(over: Partial<DecideQuestion> = {}): DecideQuestion {
  return {
    action: 'decide',
    person: engineer,
    request: 'req_1' as RequestId,
    tenant: contoso,
    profile: 'remediate',
    stage: { name: 'lead', from: ['room-leads'] },
    isRequester: false,
    decidedOtherStage: false,
    now,
    ...over,
  };
}

export function grantQuestion(over: Partial<GrantQuestion> = {}): GrantQuestion {
  return {
    action: 'revoke',
    person: engineer,
    subject: 'grt_1' as GrantId,
    tenant: contoso,
    profile: 'remediate',
    isHolder: false,
    isSameHuman: false,
    now,
    ...over,
  };
}
