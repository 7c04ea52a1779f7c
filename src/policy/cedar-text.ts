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
