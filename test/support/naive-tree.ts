import { createHash } from 'node:crypto';

/** The recursive definitions of RFC 6962 §2.1, word for word, over the leaves `begin` to `end` of a list of entries. */
export function naiveTree(entries: readonly Uint8Array[]) {
  const known = new Map<string, Buffer>();

  function root(begin: number, end: number): Buffer {
    const key = `${begin}-${end}`;
    const hash = known.get(key) ?? compute(begin, end);
    known.set(key, hash);
    return hash;
  }

  function compute(begin: number, end: number): Buffer {
    if (end === begin) return sha256();
    if (end - begin === 1) return sha256(Buffer.of(0), entries[begin]!);
    const middle = begin + split(end - begin);
    return sha256(Buffer.of(1), root(begin, middle), root(middle, end));
  }

  function path(index: number, begin: number, end: number): Buffer[] {
    if (end - begin === 1) return [];
    const k = split(end - begin);
    return index < k
      ? [...path(index, begin, begin + k), root(begin + k, end)]
      : [...path(index - k, begin + k, end), root(begin, begin + k)];
  }

  function subproof(from: number, begin: number, end: number, whole: boolean): Buffer[] {
    if (from === end - begin) return whole ? [] : [root(begin, end)];
    const k = split(end - begin);
    return from <= k
      ? [...subproof(from, begin, begin + k, whole), root(begin + k, end)]
      : [...subproof(from - k, begin + k, end, false), root(begin, begin + k)];
  }

  return {
    root: (size: number) => root(0, size),
    inclusion: (index: number, size: number) => path(index, 0, size),
    consistency: (from: number, to: number) => subproof(from, 0, to, true),
  };
}

function split(count: number): number {
  return 2 ** Math.floor(Math.log2(count - 1));
}

function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** The eight leaves that the implementations of Certificate Transparency test with, and the roots over the first n. */
export const publishedEntries = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map(fromHex);

export const publishedRoots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
].map(fromHex);

export function fromHex(text: string): Buffer {
  return Buffer.from(text, 'hex');
}
