/**
 * A line of a log without what tells who somebody is: e-mail addresses and account names, addresses of networks and
 * network cards, the names of home directories and users. What remains is about the machine.
 */
export function redact(line: string): string {
  return rules.reduce((text, [pattern, instead]) => text.replace(pattern, instead), line);
}

const rules: readonly (readonly [RegExp, string])[] = [
  // Units of systemd are written alike: `user@1000.service`.
  [
    /(?<![\w.+-])[\w.+-]+@(?![\w.-]+\.(?:service|socket|slice|scope|target|mount|timer|device)\b)[\w-]+(?:\.[\w-]+)+/g,
    '[e-mail]',
  ],
  [/\b(?:\d{1,3}\.){3}\d{1,3}\b/g, '[address]'],
  [/(?<![\w:])(?:[0-9a-f]{2}[:-]){5,}[0-9a-f]{2}(?![\w:])/gi, '[address]'],
  [/(?<![\w:])(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}(?![\w:])/gi, '[address]'],
  [
    /(?<![\w:])(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?(?![\w:])/gi,
    '[address]',
  ],
  [/(?<=\/(?:home|Users)\/)[^\s/:"']+/g, '[user]'],
  [/\b(?<what>(?:[al]?ruser|user(?:name)?|acct|logname|login|account)\s*[=:]\s*["']?)[^\s"',;)]+/gi, '$<what>[user]'],
  [/\b(?<what>(?:for|of|by) (?:user|account) ["']?)[^\s"',;()]+/gi, '$<what>[user]'],
];
