/** The greatest depth of objects and arrays that `parseStrictJson` follows. */
const maxDepth = 32;

/**
 * Reads JSON that has one meaning for every reader: RFC 8259 text in which no object names a member twice (RFC 8725
 * §2.4 asks for nothing less of a token), nested at most 32 deep.
 * @throws SyntaxError otherwise; its message holds nothing of the text.
 */
export function parseStrictJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new SyntaxError('is not JSON');
  }
  requireDistinctMembers(text);
  return value;
}

/** Walks text already known to be JSON, so that only strings, braces and brackets need a look. */
function requireDistinctMembers(text: string): void {
  const open: (Set<string> | null)[] = [];
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
        open.push(new Set());
        break;
      case 0x5b: // [
        open.push(null);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        continue;
      case 0x22: {
        const end = endOfString(text, at);
        const members = open.at(-1);
        if (members && isFollowedByColon(text, end)) addMember(members, text.slice(at, end));
        at = end - 1;
        continue;
      }
      default:
        continue;
    }
    if (open.length > maxDepth) throw new SyntaxError('is nested too deep');
  }
}

function addMember(members: Set<string>, literal: string): void {
  // Decoded, because "\u0061ud" and "aud" are one name.
  const name = literal.includes('\\') ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  if (members.has(name)) throw new SyntaxError('names a member twice');
  members.add(name);
}

/** The index after the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text.charCodeAt(at) !== 0x22) at += text.charCodeAt(at) === 0x5c ? 2 : 1;
  return at + 1;
}

function isFollowedByColon(text: string, from: number): boolean {
  let at = from;
  while (' \t\n\r'.includes(text.charAt(at))) at++;
  return text.charCodeAt(at) === 0x3a;
}
