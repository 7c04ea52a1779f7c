import { policyToJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { DetailedError, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { splitStatements, tooMuchInPolicy } from './cedar-text.ts';
import type { Statement } from './cedar-text.ts';
import type { Policy } from './engine.ts';
import { placeholderNames, placeholdersIn, reservedIds } from './explain.ts';
import { indexOfByte, mistakeAt } from './mistake.ts';
import type { Mistake } from './mistake.ts';
import { contextReads } from './reads.ts';

/** A policy and where it stands. */
export interface PlacedPolicy extends Policy {
  readonly file: string;
  readonly start: number;
}

const annotationNames = ['id', 'message', 'remedy'];
const idPattern = /^[a-z][a-z0-9-]{0,62}$/;

/** Reads the policies of one `.cedar` file, each by itself, with every mistake of each. */
export function readPolicies(file: string, text: string): { policies: PlacedPolicy[]; mistakes: Mistake[] } {
  const policies: PlacedPolicy[] = [];
  const mistakes: Mistake[] = [];
  for (const statement of splitStatements(text)) {
    const excess = tooMuchInPolicy(statement.text);
    if (excess) {
      mistakes.push(mistakeAt(file, text, statement.start + excess.index, excess.message));
      continue;
    }
    const parsed = policyToJson(statement.text);
    if (parsed.type === 'failure') {
      mistakes.push(...parsed.errors.flatMap((error) => engineMistakes(file, text, statement, error)));
      continue;
    }
    const wrong = annotationMistakes(parsed.json);
    mistakes.push(...wrong.map((message) => mistakeAt(file, text, statement.start, message)));
    const id = parsed.json.annotations?.['id'];
    if (id) policies.push(policyFrom(parsed.json, id, file, statement));
  }
  return { policies, mistakes };
}

/** One mistake of the engine and those related to it, moved from bytes of the statement to a place in the file. */
export function engineMistakes(file: string, text: string, statement: Statement, error: DetailedError): Mistake[] {
  const [location] = error.sourceLocations ?? [];
  const index = statement.start + (location ? indexOfByte(statement.text, location.start) : 0);
  const hints = [location?.label, error.help].filter((hint) => hint !== null && hint !== undefined);
  const message = [withoutPreamble(error.message), ...hints].join('; ');
  const related = (error.related ?? []).flatMap((other) => engineMistakes(file, text, statement, other));
  return [mistakeAt(file, text, index, message), ...related];
}

/** The engine names the policy by an id that is only ours, or the way in which it was handed over: neither helps. */
function withoutPreamble(message: string): string {
  return message.replace(
    /^(?:for policy `[^`]*`[,:] |failed to parse [a-z ]+ from string: |error parsing schema: )+/,
    '',
  );
}

function annotationMistakes({ effect, annotations = {} }: PolicyJson): string[] {
  const wrong: string[] = [];
  const id = annotations['id'];
  if (!id) wrong.push('every policy needs an `@id("…")`');
  else if (!idPattern.test(id)) wrong.push(`\`@id\` must be lower case letters, digits and hyphens: \`${id}\` is not`);
  else if (reservedIds.includes(id)) wrong.push(`\`@id("${id}")\` is reserved for when no policy decides`);
  if (effect === 'forbid' && !annotations['message']) {
    wrong.push(`the forbid \`${id ?? '?'}\` needs a \`@message("…")\` for whom it refuses`);
  }
  for (const [name, value] of Object.entries(annotations)) {
    if (!annotationNames.includes(name))
      wrong.push(`\`@${name}\` is not known: use \`@id\`, \`@message\`, \`@remedy\``);
    const unknown = placeholdersIn(value ?? '').filter((placeholder) => !placeholderNames.includes(placeholder));
    wrong.push(
      ...unknown.map((it) => `\`{${it}}\` in \`@${name}\` is not known: use one of {${placeholderNames.join('}, {')}}`),
    );
  }
  return wrong;
}

function policyFrom(json: PolicyJson, id: string, file: string, { text, start }: Statement): PlacedPolicy {
  const { message, remedy } = json.annotations ?? {};
  return {
    id,
    effect: json.effect,
    text,
    message: message ?? null,
    remedy: remedy ?? null,
    actions: actionsOf(json),
    reads: contextReads(json),
    file,
    start,
  };
}

function actionsOf({ action }: PolicyJson): string[] | null {
  if (action.op === 'All' || !('entity' in action || 'entities' in action)) return null;
  const entities = 'entities' in action ? action.entities : [action.entity];
  return entities.map((uid) => ('__entity' in uid ? uid['__entity'].id : uid.id));
}
