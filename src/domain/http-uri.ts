const allowed = /^https?:\/\/(?<authority>[^/?#]+)(?:[/?#]|$)/i;
const uriCharacters = /^(?:[A-Za-z0-9\-._~:/?#[\]!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;

/**
 * The form in which two http addresses are compared as RFC 9449 §4.3 asks: without query and fragment, after the
 * syntax-based and scheme-based normalization of RFC 3986 §6.2.2 and §6.2.3. Null for what RFC 3986 does not allow
 * (the URL parser of the platform would mend it) and for user information or a host in a disguised form.
 */
export function normalizeHttpUri(text: string): string | null {
  const authority = allowed.exec(text)?.groups?.['authority'];
  if (authority === undefined || !uriCharacters.test(text)) return null;
  const url = URL.parse(text);
  // INVARIANT: a host is compared as it is written; `0x7f.1` is not `127.0.0.1`.
  if (!url || authority.toLowerCase().replace(/:\d*$/, '') !== url.hostname) return null;
  return `${url.protocol}//${url.host}${normalizeEscapes(url.pathname)}`;
}

/** RFC 3986 §6.2.2.2: escapes of unreserved characters are undone, all others written in capitals. */
function normalizeEscapes(path: string): string {
  return path.replaceAll(/%[0-9A-Fa-f]{2}/g, (escape) => {
    const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    return /[A-Za-z0-9\-._~]/.test(character) ? character : escape.toUpperCase();
  });
}
