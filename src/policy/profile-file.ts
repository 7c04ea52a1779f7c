import { Type } from 'typebox';
import type { Static } from 'typebox';
import { parseDuration } from '../domain/duration.ts';
import { dataClasses } from '../domain/profile.ts';
import type { Profile } from '../domain/profile.ts';
import { compile, readJsonFile } from './json-file.ts';
import type { Mistake } from './mistake.ts';

const name = Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' });
const duration = Type.String({ format: 'latchkey-duration' });
const team = Type.String({ pattern: '^(?:[^{}\\s]|\\{tenant\\})+$', maxLength: 200 });
const closed = { additionalProperties: false };

/** A profile as it is written in `profiles/NAME.json`. */
export const profileSchema = Type.Object(
  {
    name,
    title: Type.String({ minLength: 1, maxLength: 200 }),
    scopes: Type.Array(Type.String({ pattern: '^[a-z][a-z0-9.:-]{0,62}$' }), { minItems: 1, uniqueItems: true }),
    dataClasses: Type.Array(Type.Enum([...dataClasses]), { uniqueItems: true }),
    stages: Type.Array(
      Type.Object(
        {
          name,
          from: Type.Array(team, { minItems: 1, uniqueItems: true }),
          needs: Type.Integer({ minimum: 1, maximum: 20 }),
        },
        closed,
      ),
      { maxItems: 10 },
    ),
    longest: duration,
    longestTotal: Type.Optional(duration),
    lapse: Type.Optional(duration),
    extendable: Type.Optional(Type.Boolean()),
    reviewWithin: Type.Optional(duration),
    tells: Type.Optional(Type.Array(team, { uniqueItems: true })),
  },
  closed,
);

type WrittenProfile = Static<typeof profileSchema>;

const validate = compile(profileSchema);
const defaultLapse = 3_600;

/** Reads one profile; null with its mistakes when it cannot be used. */
export function readProfile(file: string, text: string): { profile: Profile | null; mistakes: readonly Mistake[] } {
  const { value, mistakes, mistake } = readJsonFile(file, text, validate);
  if (value === null) return { profile: null, mistakes };
  const profile = profileFrom(value);
  const wrong: Mistake[] = [];
  if (`profiles/${profile.name}.json` !== file) {
    wrong.push(mistake('/name', `the file must be called \`profiles/${profile.name}.json\` after its profile`));
  }
  profile.stages.forEach((stage, i) => {
    if (profile.stages.findIndex((other) => other.name === stage.name) < i) {
      wrong.push(mistake(`/stages/${i}/name`, `stage \`${stage.name}\` stands here twice`));
    }
  });
  if (profile.longestTotal < profile.longest) {
    wrong.push(mistake('/longestTotal', '`longestTotal` must not be shorter than `longest`'));
  }
  return { profile: wrong.length === 0 ? profile : null, mistakes: wrong };
}

function profileFrom(written: WrittenProfile): Profile {
  const longest = seconds(written.longest);
  const total = written.stages.length > 0 ? 2 * longest : longest;
  return {
    name: written.name,
    title: written.title,
    scopes: written.scopes,
    dataClasses: written.dataClasses,
    stages: written.stages,
    longest,
    longestTotal: written.longestTotal === undefined ? total : seconds(written.longestTotal),
    lapse: written.lapse === undefined ? defaultLapse : seconds(written.lapse),
    extendable: written.extendable ?? true,
    reviewWithin: written.reviewWithin === undefined ? null : seconds(written.reviewWithin),
    tells: written.tells ?? [],
  };
}

/** The schema's format has already refused what does not parse. */
function seconds(text: string): number {
  return parseDuration(text)!;
}
