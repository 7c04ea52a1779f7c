/** Longer lines than this are no answer of an agent's. */
const longestLine = 4 * 1024 * 1024;

/** The JSON values of a stream with one a line (application/x-ndjson). @throws SyntaxError for what is none. */
export async function* jsonLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    if (rest.length > longestLine) throw new SyntaxError('a line of the answer is too long');
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as unknown;
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as unknown;
}
