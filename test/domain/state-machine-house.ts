import assert from 'node:assert/strict';
import { LatchkeyError } from '../../src/domain/errors.ts';
import {
  extend,
  grantAt,
  release,
  requireActive,
  requireLive,
  revoke,
  spanOf,
  type Ending,
  type Grant,
  type GrantFacts,
} from '../../src/domain/grant.ts';
import type { DeviceId, GrantId, PersonId, RequestId, TenantId } from '../../src/domain/ids.ts';
import {
  approve,
  deny,
  lapseTime,
  requestAt,
  requirePending,
  type AccessRequest,
  type PendingRequest,
  type RecordedOutcome,
  type Verdict,
} from '../../src/domain/request.ts';
import type { Terms } from '../../src/domain/terms.ts';
import * as model from './state-machine-model.ts';

export const people = ['a1', 'a2', 'b1', 'b2', 'c1', 'd1', 'e1'];
export const scopes = ['inspect', 'reboot', 'reset'];
export const devices = ['x', 'y', 'z'];
export const bounds = { longest: 100, longestTotal: 130 };
const sameHuman = (a: string, b: string): boolean => model.humanOf(a) === model.humanOf(b);

type Narrowing = Partial<model.ModelTerms>;
export type Command =
  | { do: 'ask'; who: string; duration: number; stages: number[]; inSeconds: number | null; lapse: number }
  | { do: 'decide'; who: string; request: number; verdict: Verdict; stage: number; narrow: Narrowing | null }
  | { do: 'cancel'; request: number }
  | { do: 'wait'; milliseconds: number }
  | { do: 'wait-for-next' }
  | { do: 'extend'; grant: number; duration: number; stages: number[] }
  | { do: 'revoke' | 'release'; grant: number; who: string };

interface Pair {
  request: PendingRequest;
  recorded: RecordedOutcome;
  readonly model: model.ModelRequest;
}

interface GrantPair {
  facts: GrantFacts;
  ending: Ending | null;
  readonly model: model.ModelGrant;
  readonly from: Pair;
}

/** Keeps requests and grants as the broker does, with the model's beside them; every step must go as the model says. */
export class House {
  now = Date.UTC(2026, 0, 1);
  readonly requests: Pair[] = [];
  readonly grants: GrantPair[] = [];

  get clock(): Date {
    return new Date(this.now);
  }

  requestNow(pair: Pair): AccessRequest {
    return requestAt(pair.request, pair.recorded, this.clock);
  }

  grantNow(pair: GrantPair): Grant {
    return grantAt(pair.facts, pair.ending, this.clock);
  }

  /** When the clock by itself changes something. */
  moments(): number[] {
    const ofGrants = this.grants.flatMap((pair) => [pair.model.startsAt, pair.model.expiresAt]);
    return [...this.requests.map((pair) => pair.model.lapsesAt), ...ofGrants];
  }

  ask(wish: {
    who: string;
    terms: model.ModelTerms;
    stages: number[];
    startsAt: number | null;
    lapsesAt: number;
    extending: GrantPair | null;
  }): void {
    const { who, terms, startsAt, lapsesAt, extending } = wish;
    const stages = wish.stages.map((needs, index) => ({ name: `s${index}`, from: ['team'], needs }));
    const request: PendingRequest = {
      id: `req${this.requests.length}` as RequestId,
      state: 'pending',
      profile: 'p',
      tenant: 't' as TenantId,
      dataClasses: [],
      reason: null,
      ticket: null,
      requester: who as PersonId,
      createdAt: this.clock,
      startsAt: startsAt === null ? null : new Date(startsAt),
      lapsesAt: new Date(lapsesAt),
      extends: extending ? extending.facts.id : null,
      stages,
      decisions: [],
      ...(terms as unknown as Terms),
    };
    const modelled: model.ModelRequest = {
      requester: who,
      stages,
      asked: terms,
      startsAt,
      lapsesAt,
      extends: extending?.model ?? null,
      approvals: [],
      outcome: null,
    };
    const pair: Pair = { request, recorded: { state: 'pending' }, model: modelled };
    this.requests.push(pair);
    if (stages.length === 0) this.passed(pair, request);
  }

  /** Every stage has what it needs: the grant is made, or extended, at once or the approval comes to nothing. */
  passed(pair: Pair, terms: Terms): void {
    const extended = this.grants.find(({ facts }) => facts.id === pair.request.extends);
    const grant = `grt${this.grants.length}` as GrantId;
    if (extended) {
      const longer = extend(
        requireActive(this.grantNow(extended)),
        { duration: terms.duration, ...bounds },
        this.clock,
      );
      extended.facts = { ...extended.facts, expiresAt: longer.expiresAt };
      pair.recorded = { state: 'granted', grant: extended.facts.id };
      const moved = model.extensionOf(extended.model, terms.duration, bounds, this.now);
      assert.equal(longer.expiresAt.getTime(), moved, 'the model moves the end elsewhere');
      extended.model.expiresAt = Number(moved);
    } else {
      const span = spanOf(terms, pair.request.startsAt, this.clock);
      const { requester, request, id, tenant, profile } = { ...pair.request, request: pair.request.id };
      const given = { devices: terms.devices, scopes: terms.scopes };
      const facts = {
        id: grant,
        request: request ?? id,
        person: requester,
        tenant,
        profile,
        ...given,
        ...span,
        review: null,
      };
      const left = model.termsLeft(pair.model);
      const startsAt = Math.max(this.now, pair.model.startsAt ?? 0);
      const modelled = {
        holder: requester,
        terms: left,
        startsAt,
        expiresAt: startsAt + left.duration * 1000,
        ended: null,
      };
      this.grants.push({ facts, ending: null, model: modelled, from: pair });
      pair.recorded = { state: 'granted', grant };
    }
    pair.model.outcome = 'granted';
  }

  decide(pair: Pair, { who, verdict, stage, narrow }: Extract<Command, { do: 'decide' }>): void {
    const name = `s${stage}`;
    const said = { by: who as PersonId, verdict, stage: name, comment: null, at: this.clock };
    const narrowed = narrow as { duration?: number; scopes?: string[]; devices?: DeviceId[] } | null;
    if (verdict === 'deny') {
      const own = sameHuman(who, pair.model.requester) ? 'not-permitted' : null;
      const expected = model.requestStateOf(pair.model, this.now) === 'pending' ? own : 'conflict';
      expecting(expected, () => {
        deny(requirePending(this.requestNow(pair)), { ...said, narrow: null }, sameHuman);
        pair.recorded = { state: 'denied' };
        pair.model.outcome = 'denied';
      });
      return;
    }
    let expected = model.whyNoApproval(pair.model, who, name, narrow, this.now);
    if (expected === null && pair.model.extends) {
      const passes = pair.model.stages.every((s) => model.missing(pair.model, s.name) === (s.name === name ? 1 : 0));
      const { duration } = model.termsLeft(pair.model, narrow);
      const moved = model.extensionOf(pair.model.extends, duration, bounds, this.now);
      if (passes && moved === 'conflict') expected = 'conflict';
    }
    expecting(expected, () => {
      const before = pair.request;
      const outcome = approve(requirePending(this.requestNow(pair)), { ...said, narrow: narrowed }, sameHuman);
      pair.request = outcome.request;
      pair.model.approvals.push({ by: who, stage: name, narrow });
      if (outcome.outcome === 'open') return;
      try {
        this.passed(pair, outcome.terms);
      } catch (error) {
        pair.request = before;
        pair.model.approvals.pop();
        throw error;
      }
    });
  }

  end(pair: GrantPair, state: 'revoked' | 'released', who: string): void {
    expecting(model.isOver(pair.model, this.now) ? 'conflict' : null, () => {
      const live = requireLive(this.grantNow(pair));
      const by = who as PersonId;
      const ended = state === 'revoked' ? revoke(live, by, 'why', this.clock) : release(live, by, this.clock);
      pair.ending = ended.ending;
      pair.model.ended = state;
    });
  }

  extension(pair: GrantPair, { duration, stages }: Extract<Command, { do: 'extend' }>): void {
    const active = model.grantStateOf(pair.model, this.now) === 'active';
    const atOnce = stages.length === 0 ? model.extensionOf(pair.model, duration, bounds, this.now) : 0;
    expecting(active && atOnce !== 'conflict' ? null : 'conflict', () => {
      const { expiresAt, person } = requireActive(this.grantNow(pair));
      const terms = { ...pair.model.terms, duration };
      const made = this.requests.length;
      try {
        this.ask({ who: person, terms, stages, startsAt: null, lapsesAt: expiresAt.getTime(), extending: pair });
      } catch (error) {
        this.requests.length = made;
        throw error;
      }
    });
  }

  run(command: Command): void {
    // The newest ones are the most lively.
    const pick = <T>(list: readonly T[], index: number): T | undefined => list.at(-1 - (index % (list.length || 1)));
    const request = 'request' in command ? pick(this.requests, command.request) : undefined;
    const grant = 'grant' in command ? pick(this.grants, command.grant) : undefined;
    switch (command.do) {
      case 'ask': {
        const startsAt = command.inSeconds === null ? null : this.now + command.inSeconds * 1000;
        const lapsesAt = lapseTime(this.clock, command.lapse, startsAt === null ? null : new Date(startsAt)).getTime();
        assert.ok(lapsesAt >= (startsAt ?? 0), 'lapses before it would start');
        const terms = { duration: command.duration, scopes: [...scopes], devices: [...devices] };
        return this.ask({ who: command.who, terms, stages: command.stages, startsAt, lapsesAt, extending: null });
      }
      case 'wait':
        this.now += command.milliseconds;
        return;
      case 'wait-for-next': {
        const ahead = this.moments().filter((moment) => moment > this.now);
        this.now = Math.min(...ahead, this.now + 1_000_000);
        return;
      }
      case 'decide':
        return request && this.decide(request, command);
      case 'cancel':
        return (
          request &&
          expecting(model.requestStateOf(request.model, this.now) === 'pending' ? null : 'conflict', () => {
            requirePending(this.requestNow(request));
            request.recorded = { state: 'cancelled' };
            request.model.outcome = 'cancelled';
          })
        );
      case 'extend':
        return grant && this.extension(grant, command);
      case 'revoke':
        return grant && this.end(grant, 'revoked', command.who);
      case 'release':
        return grant && this.end(grant, 'released', command.who);
    }
  }
}

/** Runs a step that the model expects to be refused with this code, or not at all. */
function expecting(refusal: model.Refusal, step: () => void): void {
  let got: string | null = null;
  try {
    step();
  } catch (error) {
    if (!(error instanceof LatchkeyError)) throw error;
    got = error.code;
  }
  assert.equal(got, refusal);
}
