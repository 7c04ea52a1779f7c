/** An argument as the configuration writes it: a text with `{parameter}` in it, or some that stand or fall together. */
export type WrittenTemplate = string | { readonly if: string; readonly arguments: readonly string[] };

type Part = { readonly text: string } | { readonly parameter: string } | { readonly value: string };

/** One argument of a command, however long what is put into it: nothing is ever split, and there is no shell. */
interface Argument {
  readonly parts: readonly Part[];
}

/** Arguments that are there when their parameter was given, or is true. */
export interface Template {
  readonly onlyWith: string | null;
  readonly arguments: readonly Argument[];
}

/** What stands in a template that may not, as a sentence's end; the names are for the caller to judge. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
}

/** Reads one template. `{{` and `}}` stand for braces. @throws TemplateError */
export function readTemplate(written: WrittenTemplate): Template {
  if (typeof written === 'string') return { onlyWith: null, arguments: [readArgument(written)] };
  return { onlyWith: written.if, arguments: written.arguments.map(readArgument) };
}

const pieces = /\{\{|\}\}|\{(?<sigil>\$?)(?<name>[A-Za-z][A-Za-z0-9_.-]*)\}|[{}]|[^{}]+/g;

function readArgument(text: string): Argument {
  const parts: Part[] = [];
  for (const { 0: piece, groups } of text.matchAll(pieces)) {
    if (groups?.['name'] !== undefined) {
      parts.push(groups['sigil'] === '$' ? { value: groups['name'] } : { parameter: groups['name'] });
    } else if (piece === '{' || piece === '}') {
      throw new TemplateError('has a brace that names nothing: write `{name}`, or `{{` for a brace itself');
    } else {
      parts.push({ text: piece === '{{' ? '{' : piece === '}}' ? '}' : piece });
    }
  }
  return { parts };
}

/** Every parameter that the arguments of a template name. */
export function parametersIn(template: Template): string[] {
  return partsOf(template).flatMap((part) => ('parameter' in part ? [part.parameter] : []));
}

/** Every fixed value, `{$name}`, that a template names. */
export function valuesIn(template: Template): string[] {
  return partsOf(template).flatMap((part) => ('value' in part ? [part.value] : []));
}

/** Puts the fixed values in, once and for all. */
export function withValues(template: Template, values: Readonly<Record<string, string>>): Template {
  const settle = (part: Part): Part => ('value' in part ? { text: values[part.value] ?? '' } : part);
  return { ...template, arguments: template.arguments.map(({ parts }) => ({ parts: parts.map(settle) })) };
}

/** The arguments of a command: of each template those that apply, each with what was given put in. */
export function fillTemplates(
  templates: readonly Template[],
  given: ReadonlyMap<string, string | number | boolean>,
): string[] {
  const applies = ({ onlyWith }: Template): boolean =>
    onlyWith === null || (given.has(onlyWith) && given.get(onlyWith) !== false);
  const fill = (part: Part): string =>
    'text' in part ? part.text : 'value' in part ? '' : String(given.get(part.parameter));
  return templates
    .filter(applies)
    .flatMap((template) => template.arguments.map(({ parts }) => parts.map(fill).join('')));
}

function partsOf(template: Template): Part[] {
  return template.arguments.flatMap(({ parts }) => parts);
}
