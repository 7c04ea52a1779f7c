import { formatAddCheckpoint, parseSizeAnswer, sizeContentType } from '../ledger/add-checkpoint.ts';
import { formatNote, formatSignature, parseNote } from '../ledger/note.ts';
import { openNote } from '../ledger/note-signatures.ts';
import type { VerifierKey } from '../ledger/vkey.ts';

/** One of the configured witnesses. */
export interface WitnessAddress {
  readonly url: string;
  readonly key: VerifierKey;
}

export type WitnessAnswer =
  /** The line is verified to be this witness's cosignature of the very checkpoint. */
  | { readonly kind: 'cosigned'; readonly line: string }
  /** The witness has cosigned a tree of that size last. */
  | { readonly kind: 'size'; readonly size: number }
  /** It does not believe that what it cosigned last is the beginning of this tree. */
  | { readonly kind: 'inconsistent' };

const patience = 1_000;
const longestAnswer = 16_384;

/**
 * Asks a witness to cosign a checkpoint (C2SP tlog-witness), within a second. Only the configured host is spoken to:
 * nothing is followed elsewhere.
 * @throws Error that says what was wrong, when the witness does not answer or its answer is none of those.
 */
export async function askWitness(
  { url, key }: WitnessAddress,
  asked: { readonly old: number; readonly proof: readonly Uint8Array[]; readonly checkpoint: string },
  stop: AbortSignal,
): Promise<WitnessAnswer> {
  const response = await fetch(`${url}/add-checkpoint`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain; charset=utf-8', 'accept-encoding': 'identity' },
    body: formatAddCheckpoint(asked),
    redirect: 'error',
    signal: AbortSignal.any([stop, AbortSignal.timeout(patience)]),
  });
  const body = await readText(response);
  const type = response.headers.get('content-type')?.split(';')[0]?.trim();
  if (response.status === 200) return { kind: 'cosigned', line: readCosignature(asked.checkpoint, body, key) };
  if (response.status === 409 && type === sizeContentType) return { kind: 'size', size: parseSizeAnswer(body) };
  if (response.status === 422) return { kind: 'inconsistent' };
  throw new Error(`the witness answered ${response.status}`);
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    const bytes = chunk as Uint8Array;
    length += bytes.length;
    if (length > longestAnswer) throw new Error(`the witness answered more than ${longestAnswer} bytes`);
    chunks.push(bytes);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
}

/** The one line of the answer that is this witness's; those of keys that are not known are left out. */
function readCosignature(checkpoint: string, answer: string, key: VerifierKey): string {
  const { text } = parseNote(checkpoint);
  const opened = openNote(formatNote(text, [answer]), [key]);
  // An answer with an empty line in it would have moved the end of what is signed.
  if (opened.text !== text) throw new Error('the witness did not answer with signature lines');
  return formatSignature(opened.signatures.find(({ name, id }) => name === key.name && id === key.id)!);
}
