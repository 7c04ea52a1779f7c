import { createHash } from 'node:crypto';

/** The one style sheet of the provider's pages: system fonts, light and dark, from 320 pixels upwards. */
export const styleSheet = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f6f5f2, #16181c);
  --card: light-dark(#ffffff, #1f2228);
  --ink: light-dark(#1c1e21, #eceae6);
  --quiet: light-dark(#5c6169, #a3a8b1);
  --line: light-dark(#dcdad4, #363a42);
  --accent: light-dark(#0b5c55, #5ec4b8);
  --on-accent: light-dark(#ffffff, #10221f);
  --warn: light-dark(#a3341f, #ff9d85);
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; padding: 2rem 1rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif;
}
main { max-width: 34rem; margin: 0 auto; }
.mark { margin: 0 0 1.5rem; color: var(--quiet); font-size: .875rem; }
.mark strong { color: var(--accent); }
h1 { margin: 0 0 .75rem; font-size: 1.625rem; line-height: 1.2; letter-spacing: -.01em; text-wrap: balance; }
p { margin: 0 0 1.25rem; }
.quiet { color: var(--quiet); }
.warn { color: var(--warn); font-weight: 600; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem; }
button, input { font: inherit; color: inherit; }
.person {
  width: 100%; display: grid; grid-template-columns: 2.5rem 1fr; column-gap: .875rem; align-items: center;
  padding: .75rem .875rem; text-align: start; background: var(--card); border: 1px solid var(--line);
  border-radius: .625rem; cursor: pointer;
}
.person:hover { border-color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.initials {
  grid-row: span 2; width: 2.5rem; height: 2.5rem; border-radius: 50%; display: grid; place-items: center;
  border: 1px solid var(--line); color: var(--accent); font-weight: 600; font-size: .875rem;
}
.name { font-weight: 600; overflow-wrap: anywhere; }
.role { color: var(--quiet); font-size: .875rem; overflow-wrap: anywhere; }
label { display: block; margin-bottom: .375rem; font-weight: 600; }
.code {
  width: 100%; padding: .75rem; margin-bottom: 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .625rem; font: 600 1.5rem/1.3 ui-monospace, monospace; letter-spacing: .12em; text-align: center;
  text-transform: uppercase;
}
input.code { border-color: var(--quiet); }
p.code { text-transform: none; }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; }
.main, .other { padding: .625rem 1.25rem; border-radius: .625rem; border: 1px solid var(--accent); cursor: pointer; }
.main { background: var(--accent); color: var(--on-accent); font-weight: 600; }
.other { background: transparent; border-color: var(--line); }
@media (prefers-reduced-motion: no-preference) { .person { transition: border-color .12s; } }
`;

/**
 * Pages may use this very sheet and nothing else: no image, nothing from elsewhere, in nobody's frame. `script-src`
 * allows none, and stands here because oidc-provider adds the hash of its one script, which sends a form on, to it.
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(styleSheet).digest('base64')}'`,
  "script-src 'report-sample'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');
