/** One policy's text as it stands in its file. */
export interface Statement {
  readonly text: string;
  /** Where it begins, as an index into the file's text. */
  readonly start: number;
}

/**
 * Cuts a file of Cedar policies at the semicolons that end them, so that each can be parsed by itself and a mistake in
 * one hides none in another. Strings and `//` comments are respected; what follows the last semicolon is a statement
 * too unless it is blank.
 */
export function splitStatements(text: string): Statement[] {
  const statements: Statement[] = [];
  let start = skipBlank(text, 0);
  for (let i = start; i < text.length;) {
    const char = text[i];
    if (char === '"') {
      i = endOfString(text, i);
    } else if (text.startsWith('//', i)) {
      i = endOfLine(text, i);
    } else if (char === ';') {
      statements.push({ text: text.slice(start, i + 1), start });
      start = skipBlank(text, i + 1);
      i = start;
    } else {
      i++;
    }
  }
  if (start < text.length) statements.push({ text: text.slice(start), start });
  return statements;
}

// The engine descends into a policy by recursion, and one that is too deep for its stack leaves it unusable: nothing
// would be allowed and no bundle loaded until the next start. Both bounds stay well below what it was seen to bear.
const deepest = 32;
const mostOperators = 200;

const skipped = String.raw`"[^"\\]*(?:\\.[^"\\]*)*"?|//[^\n]*`;
const operator = String.raw`&&|\|\||[<>=!]=|[-+*!.<>]|\b(?:if|has|like|in|is)\b`;

export interface Excess {
  readonly index: number;
  readonly message: string;
}

/** Where and why a policy is more than the engine can be trusted with; null when it is not. */
export function tooMuchInPolicy(text: string): Excess | null {
  return tooMuch(text, new RegExp(`${skipped}|(?<opens>[([{])|(?<closes>[)\\]}])|(?<operator>${operator})`, 'gs'));
}

/** The same for a schema, where `Set<…>` nests too and nothing is computed. */
export function tooMuchInSchema(text: string): Excess | null {
  return tooMuch(text, new RegExp(`${skipped}|(?<opens>[([{<])|(?<closes>[)\\]}>])`, 'gs'));
}

function tooMuch(text: string, tokens: RegExp): Excess | null {
  let depth = 0;
  let operators = 0;
  for (const { index, groups } of text.matchAll(tokens)) {
    if (groups?.['opens']) depth++;
    if (groups?.['closes']) depth = Math.max(0, depth - 1);
    if (groups?.['operator']) operators++;
    if (depth > deepest) return { index, message: `nested more than ${deepest} deep` };
    if (operators > mostOperators) {
      return {
        index,
        message: `more than ${mostOperators} operators; use several policies, or a set and \`contains\``,
      };
    }
  }
  return null;
}

/** The index of the first character that is neither white space nor part of a comment. */
function skipBlank(text: string, from: number): number {
  let i = from;
  while (i < text.length) {
    if (/\s/.test(text[i]!)) i++;
    else if (text.startsWith('//', i)) i = endOfLine(text, i);
    else break;
  }
  return i;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end + 1;
}

function endOfString(text: string, from: number): number {
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}
