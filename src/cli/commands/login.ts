import { Option, type Command } from 'commander';
import { readAddress } from '../addresses.ts';
import type { SignInProvider } from '../answers.ts';
import { openClient } from '../client.ts';
import type { CommonOptions, Desk, Runner } from '../desk.ts';
import { signInByDevice, type DeviceCode, type UsableProvider } from '../device-flow.ts';
import { Failure } from '../failure.ts';
import { readSignIns, saveSignIn } from '../sign-ins.ts';
import { neutralise } from '../text/neutralise.ts';
import { relativeTime } from '../text/time-words.ts';
import { openTransport } from '../transport.ts';
import { command } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly provider?: string;
}

export function addLogin(program: Command, run: Runner): void {
  command(
    program,
    'login [URL]',
    'sign in to a broker, in any browser',
    ['login https://latchkey.example', 'login'],
    'Without URL it is LATCHKEY_URL, or the broker signed in to last. The code shown can be typed in on any machine.',
  )
    .addOption(new Option('--provider <issuer>', 'the identity provider to use, where the broker knows several'))
    .action((url: string | undefined, options: Options) => run(options, (desk) => login(desk, url, options)));
}

async function login(desk: Desk, given: string | undefined, options: Options): Promise<void> {
  const { io, printer } = desk;
  const text = given ?? io.env.LATCHKEY_URL ?? (await readSignIns(desk.directory)).current;
  if (!text) {
    throw new Failure('usage', 'say which broker to sign in to', {
      hint: 'like `latchkey login https://latchkey.example`',
    });
  }
  const url = readAddress(text, 'the broker');
  const provider = choose(await desk.publicClient(url).signInProviders(), options.provider);
  const tokens = await signInByDevice(provider, {
    signal: io.signal,
    now: io.now,
    show: (code) => {
      show(desk, provider, code);
    },
  });
  printer.live('');
  // Asked before saving: a token that the broker does not take is no sign-in.
  const transport = openTransport({ url, token: tokens.accessToken, signal: io.signal, now: io.now });
  const me = await openClient(transport).me();
  await saveSignIn(desk.directory, url, {
    issuer: provider.issuer,
    token: tokens.accessToken,
    expiresAt: tokens.expiresAt,
  });
  printer.document({ url, issuer: provider.issuer, expiresAt: tokens.expiresAt, me });
  const name = printer.paint.strong(neutralise(me.name ?? me.id));
  printer.line(`signed in to ${url} as ${name}, for ${relativeTime(tokens.expiresAt, io.now()).replace('in ', '')}`);
  printer.line(`  see what you may ask for with \`latchkey profiles\``);
}

function choose(all: readonly SignInProvider[], wanted: string | undefined): UsableProvider {
  const providers = all.filter((provider): provider is UsableProvider => provider.clientId !== null);
  const matches = wanted === undefined ? providers : providers.filter(({ issuer }) => issuer === wanted);
  if (matches.length === 1) return matches[0]!;
  const issuers = providers.map(({ issuer }) => `\`${issuer}\``).join(', ');
  if (providers.length === 0) {
    throw new Failure('failed', 'the broker names no identity provider that the command line can sign in with', {
      hint: 'set `clients` of a provider in its configuration, or bring a token in `LATCHKEY_TOKEN`',
    });
  }
  throw new Failure(
    'usage',
    wanted === undefined ? 'the broker knows several identity providers' : `the broker does not know \`${wanted}\``,
    { hint: `choose one with \`--provider\`: ${issuers}` },
  );
}

function show({ printer, io }: Desk, provider: SignInProvider, code: DeviceCode): void {
  const { paint } = printer;
  printer.document({ issuer: provider.issuer, ...code });
  printer.line('To sign in, open this page in a browser, on this machine or any other:');
  printer.line();
  printer.line(`    ${paint.strong(neutralise(code.verificationUriComplete ?? code.verificationUri))}`);
  printer.line();
  printer.line(code.verificationUriComplete ? 'and check that it shows this code:' : 'and type in this code:');
  printer.line();
  printer.line(`    ${paint.strong(neutralise(code.userCode))}`);
  printer.line();
  printer.live(`waiting for you to finish there; the code runs out ${relativeTime(code.expiresAt, io.now())}`);
}
