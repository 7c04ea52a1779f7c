/**
 * Text that came from elsewhere (a reason, a device's name, an error's detail), made fit for one line of a terminal:
 * nothing in it can move the cursor, change colours, open links, set the title or turn the reading direction.
 * Line breaks and tabs become spaces; every other control character becomes a visible stand-in.
 */
export function neutralise(text: string): string {
  return text.replace(/[\r\n\t\u2028\u2029]+/g, ' ').replace(dangerous, standIn);
}

/** As `neutralise`, but keeps line breaks and tabs: for what a device prints, where lines mean something. */
export function neutraliseLines(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(dangerousButLines, standIn);
}

/**
 * The last look at a line on its way out: as `neutralise`, but plain colours pass, which are ours. A caller that forgot
 * to neutralise a name has let its colours through, and nothing worse.
 */
export function neutraliseButColours(text: string): string {
  return text
    .split(plainColour)
    .map((part, index) => (index % 2 === 1 ? part : neutralise(part)))
    .join('');
}

/** JSON on one line, with everything escaped that a terminal or a reader of lines might take for more than text. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(dangerous, (character) =>
    Array.from({ length: character.length }, (_, index) => escaped(character.charCodeAt(index))).join(''),
  );
}

const plainColour = new RegExp(String.raw`(\u001b\[\d{1,2}m)`);
const escaped = (unit: number): string => `\\u${unit.toString(16).padStart(4, '0')}`;

// C0, DEL, C1; marks and overrides of direction; invisible characters that make two names look alike; half surrogates.
const invisible = String.raw`\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\p{Cs}\u{e0000}-\u{e007f}`;
const dangerous = new RegExp(String.raw`[\u0000-\u001f${invisible}]`, 'gu');
const dangerousButLines = new RegExp(String.raw`[\u0000-\u0008\u000b-\u001f${invisible}]`, 'gu');

/** C0 and DEL have pictures of their own (`␛`, `␇`, `␡`); the others share the replacement character. */
function standIn(character: string): string {
  const code = character.codePointAt(0)!;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code === 0x7f ? '\u2421' : '\ufffd';
}
