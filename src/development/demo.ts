import { runDemo } from './demo-story.ts';

/** `npm run demo`: the whole story, against the real parts; exits 0 only if every step was as it should be. */
process.exitCode = await runDemo();
