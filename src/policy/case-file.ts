import { Type } from 'typebox';
import type { Static } from 'typebox';
import { compile, readJsonFile } from './json-file.ts';
import type { Mistake } from './mistake.ts';
import { readables } from './question.ts';

const closed = { additionalProperties: false };
const name = Type.String({ minLength: 1, maxLength: 100 });
const oneOrMore = <T extends Parameters<typeof Type.Array>[0]>(type: T) =>
  Type.Union([type, Type.Array(type, { minItems: 1, uniqueItems: true })]);
const names = Type.Array(name, { uniqueItems: true });
const duration = Type.String({ format: 'latchkey-duration' });

export const actions = [
  ...(['request', 'start', 'mint', 'extend', 'decide', 'revoke', 'review', 'release', 'cancel'] as const),
  ...(['manage-tenants', 'enrol-devices', 'unenrol-devices'] as const),
] as const;

/** `tests/world.json`: the people, tenants and devices that the cases speak of, and the moment they are asked at. */
export const worldSchema = Type.Object(
  {
    now: Type.String(),
    people: Type.Record(
      Type.String(),
      Type.Object(
        {
          teams: names,
          employer: Type.Optional(Type.String()),
          region: Type.Optional(Type.String()),
          trainingValidUntil: Type.Optional(Type.String()),
        },
        closed,
      ),
    ),
    tenants: Type.Record(Type.String(), Type.Object({ region: Type.String() }, closed)),
    devices: Type.Record(
      Type.String(),
      Type.Object(
        {
          tenant: name,
          facts: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
          inUse: Type.Optional(Type.Boolean()),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type World = Static<typeof worldSchema>;

/** One case, or as many as its lists multiply to. docs/policy.md says what each member means. */
export const caseSchema = Type.Object(
  {
    who: oneOrMore(name),
    may: Type.Optional(oneOrMore(Type.Enum([...actions]))),
    sees: Type.Optional(oneOrMore(Type.Enum([...readables]))),
    decidesFor: Type.Optional(names),
    expect: Type.Optional(Type.Union([Type.Enum(['yes', 'no']), names])),
    by: Type.Optional(names),
    profile: Type.Optional(oneOrMore(name)),
    stage: Type.Optional(oneOrMore(name)),
    device: Type.Optional(name),
    tenant: Type.Optional(name),
    duration: Type.Optional(duration),
    total: Type.Optional(duration),
    reviewOverdue: Type.Optional(Type.Boolean()),
    decidedOtherStage: Type.Optional(Type.Boolean()),
    holder: Type.Optional(Type.Enum(['self', 'alias', 'other'])),
  },
  closed,
);
export type WrittenCase = Static<typeof caseSchema>;

const validateWorld = compile(worldSchema);
const validateCases = compile(Type.Object({ cases: Type.Array(caseSchema) }, closed));

/** A case as written, and how to complain about it. */
export interface PlacedCase {
  readonly written: WrittenCase;
  readonly file: string;
  readonly line: number;
  readonly mistake: (member: string, message: string) => Mistake;
}

export interface Cases {
  readonly world: World;
  readonly cases: readonly PlacedCase[];
}

const worldFile = 'tests/world.json';
const emptyWorld: World = { now: '', people: {}, tenants: {}, devices: {} };

/** Reads all of `tests/`; what has mistakes is left out of the cases. */
export function readCases(files: ReadonlyMap<string, string>): { cases: Cases; mistakes: Mistake[] } {
  const mistakes: Mistake[] = [];
  const cases: PlacedCase[] = [];
  let world = emptyWorld;
  for (const [file, text] of files) {
    if (!/^tests\/[^/]+\.json$/.test(file)) continue;
    if (file === worldFile) {
      const read = readJsonFile(file, text, validateWorld);
      mistakes.push(...read.mistakes, ...(read.value ? worldMistakes(read.value, read.mistake) : []));
      world = read.value ?? world;
      continue;
    }
    const { value, mistakes: wrong, mistake } = readJsonFile(file, text, validateCases);
    mistakes.push(...wrong);
    value?.cases.forEach((written, i) => {
      const here = (member: string, message: string) => mistake(`/cases/${i}${member && `/${member}`}`, message);
      cases.push({ written, file, line: here('', '').line, mistake: here });
    });
  }
  return { cases: { world, cases }, mistakes };
}

function worldMistakes(world: World, mistake: (pointer: string, message: string) => Mistake): Mistake[] {
  const wrong: Mistake[] = [];
  if (Number.isNaN(Date.parse(world.now))) wrong.push(mistake('/now', '`now` must be an RFC 3339 time'));
  for (const [name, { tenant }] of Object.entries(world.devices)) {
    const known = Object.hasOwn(world.tenants, tenant);
    if (!known) wrong.push(mistake(`/devices/${name}/tenant`, `there is no tenant \`${tenant}\` in \`tenants\``));
  }
  return wrong;
}
