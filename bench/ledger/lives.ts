import { randomBytes } from 'node:crypto';
import { Journal } from '../../src/broker/journal.ts';
import { newId, type CredentialId, type DeviceId, type GrantId, type IdKind, type Id } from '../../src/domain/ids.ts';
import type { PersonId, RequestId, SessionId, TenantId } from '../../src/domain/ids.ts';
import type { Actor, Commitment, Fact, LedgerEvent } from '../../src/ledger/events.ts';

/** Who and what the lives are about. Plain data. */
export interface Cast {
  readonly tenants: readonly TenantId[];
  readonly engineers: readonly PersonId[];
  readonly leads: readonly PersonId[];
  readonly devices: readonly DeviceId[];
}

/** A region of some size, made up. */
export function newCast(now: number): Cast {
  const many = <K extends IdKind>(kind: K, count: number): Id<K>[] =>
    Array.from({ length: count }, () => newId(kind, now));
  return {
    tenants: many('tenant', 200),
    engineers: many('person', 2_000),
    leads: many('person', 50),
    devices: many('device', 10_000),
  };
}

/** What one life is about, and where it is. */
interface Life {
  readonly tenant: TenantId;
  readonly engineer: PersonId;
  readonly lead: PersonId;
  readonly device: DeviceId;
  step: number;
  request: RequestId;
  grant: GrantId;
  credential: CredentialId;
  credentialHash: Commitment;
  session: SessionId;
}

/** What is written in one transaction. */
export class Batch {
  readonly journal = new Journal('EU', broker);
  readonly events: LedgerEvent[] = [];

  tell(at: Date, tenant: TenantId, fact: Fact, actor: Actor): void {
    this.events.push(this.journal.fact(at, tenant, fact, actor));
  }
}

/** What happens at one moment of a life: its events, and what else its transaction says. */
type Step = (life: Life, batch: Batch, at: Date) => void;

const scopes = ['device.inspect', 'device.reboot', 'usb.reset', 'app.restart'];
const longest = 600_000;
const broker = { kind: 'broker', id: 'broker' } as const;
const policy = `sha256:${'4f'.repeat(32)}`;
const hash = (): Commitment => randomBytes(32).toString('base64url') as Commitment;

/**
 * The steps of a lifecycle of eight events, as many bytes each as the product's own: asked, approved and begun, a
 * credential, and what the device says of it.
 */
const steps: readonly Step[] = [
  (life, batch, at) => {
    life.request = newId('request', at.getTime());
    batch.tell(
      at,
      life.tenant,
      {
        type: 'request.submitted',
        request: life.request,
        profile: 'remediate',
        devices: [life.device],
        scopes,
        dataClasses: ['System Metadata'],
        duration: longest / 1_000,
        stages: [{ name: 'lead', from: ['room-leads'], needs: 1 }],
        startsAt: null,
        lapsesAt: new Date(at.getTime() + 3_600_000).toISOString(),
        extends: null,
        reason: batch.journal.text('the panel in room 3 is frozen', life.engineer),
        ticket: batch.journal.text('INC0012345', life.engineer),
        decisions: [decide(batch, life, 'engineers-request', 'request')],
      },
      { kind: 'person', id: life.engineer },
    );
  },
  (life, batch, at) => {
    life.grant = newId('grant', at.getTime());
    const { tenant, request, grant, engineer: person, lead, device } = life;
    const decision = decide(batch, life, 'stage-teams-decide', 'decide');
    const approved = { type: 'request.approved', request, stage: 'lead', comment: null, narrow: null } as const;
    batch.tell(at, tenant, { ...approved, decision }, { kind: 'person', id: lead });
    batch.tell(
      at,
      tenant,
      {
        type: 'grant.started',
        grant,
        request,
        person,
        profile: 'remediate',
        devices: [device],
        scopes,
        startsAt: at.toISOString(),
        expiresAt: new Date(at.getTime() + longest).toISOString(),
        decisions: [decision],
      },
      broker,
    );
  },
  (life, batch, at) => {
    life.credential = newId('credential', at.getTime());
    life.credentialHash = hash();
    const { tenant, grant, device, engineer: person } = life;
    const iat = Math.floor(at.getTime() / 1_000);
    batch.tell(
      at,
      tenant,
      {
        type: 'credential.issued',
        credential: life.credentialHash,
        jti: life.credential,
        grant,
        device,
        person,
        scopes,
        iat,
        nbf: iat,
        exp: iat + 300,
        decision: decide(batch, life, 'engineers-mint', 'mint').inputs,
      },
      { kind: 'person', id: person },
    );
  },
  (life, batch, at) => {
    life.session = newId('session', at.getTime());
    state(life, batch, at, 'session.started', {
      person: life.engineer,
      credential: life.credentialHash,
      credentialId: life.credential,
      scopes,
      receiptIndex: 123_456_789,
      checkpoint: { size: 123_456_790, root: hash() },
    });
  },
  (life, batch, at) => {
    state(life, batch, at, 'action.performed', {
      scope: scopes[0],
      exit: 0,
      durationMs: 812,
      bytes: 2_048,
      args: null,
    });
    state(life, batch, at, 'session.ended', { cause: 'closed', lagMs: 2 });
  },
  ({ tenant, grant, engineer }, batch, at) =>
    batch.tell(at, tenant, { type: 'grant.released', grant }, { kind: 'person', id: engineer }),
];

/** Many lives side by side, so that what one writes lies among what others write. */
export class Lives {
  readonly #cast: Cast;
  readonly #open: Life[];
  #turn = 0;

  constructor(cast: Cast, atOnce: number) {
    this.#cast = cast;
    this.#open = Array.from({ length: atOnce }, (_, place) => {
      const life = newLife(cast);
      // A step further each, as lives in the middle of a day are.
      life.step = -(place % steps.length);
      return life;
    });
  }

  /** Has one life after another take its next step, until at least so many events are to be written together. */
  next(at: Date, atLeast: number): Batch {
    const batch = new Batch();
    while (batch.events.length < atLeast) {
      const place = this.#turn++ % this.#open.length;
      const life = this.#open[place]!;
      const step = life.step++;
      if (step < 0) continue;
      steps[step]!(life, batch, at);
      if (life.step === steps.length) this.#open[place] = newLife(this.#cast);
    }
    return batch;
  }
}

function newLife(cast: Cast): Life {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]!;
  const [tenant, engineer, lead, device] = [
    pick(cast.tenants),
    pick(cast.engineers),
    pick(cast.leads),
    pick(cast.devices),
  ];
  const later = '' as never;
  const ids = { request: later, grant: later, credential: later, credentialHash: later, session: later };
  return { tenant, engineer, lead, device, step: 0, ...ids };
}

/** What the inputs of a decision hold, in about as many bytes. */
function decide({ journal }: Batch, { engineer, device, tenant }: Life, decider: string, action: string) {
  const facts = {
    teams: ['room-ops'],
    employer: 'provider',
    region: 'EU',
    trainingValidUntil: '2099-01-01T00:00:00.000Z',
  };
  const inputs = {
    principal: { type: 'Person', id: engineer, ...facts },
    action: { type: 'Action', id: action },
    resource: { type: 'Device', id: device, tenant, region: 'EU' },
    context: { now: 1_795_398_990, profile: 'remediate', scopes, duration: 600, stages: ['lead'], extension: false },
  };
  return journal.decision({ allowed: true, policies: [decider], reasons: [], digest: policy, inputs }, engineer);
}

type Statement = 'session.started' | 'action.performed' | 'session.ended';

/** A device's statement; random bytes stand for its signature, which is made at the device and not here. */
function state({ tenant, grant, device, session }: Life, batch: Batch, at: Date, type: Statement, more: object): void {
  const header = { alg: 'ES256', typ: 'latchkey-event+jwt', kid: 'cioItklZ4cBEOmXMUVF9w80hs7ciPV7GaNT9SU0AZ94' };
  const iat = Math.floor(at.getTime() / 1_000);
  const jti = newId('event', at.getTime());
  const claims = { iss: device, aud: 'https://latchkey.example', jti, iat, type, session, grant, ...more };
  const parts = [header, { ...claims, at: at.toISOString() }].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const statement = `${parts.join('.')}.${randomBytes(64).toString('base64url')}`;
  batch.tell(at, tenant, { type, device, session, grant, statement }, { kind: 'device', id: device });
}
