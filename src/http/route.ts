import type { Static, TObject, TSchema } from 'typebox';
import type { Request, Response } from 'express';
import type { ErrorCode } from '../domain/errors.ts';
import type { DeviceId } from '../domain/ids.ts';
import type { Caller } from '../broker/context.ts';
import type { Idempotency } from '../broker/command.ts';

/** Who may call a route at all; what they may do there is the route's rule. */
export type Audience = 'anyone' | 'person' | 'device' | 'person-or-device';

/** What a handler gives back. `undefined` as body is an answer without one. */
export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Who has just shown who they are: the call counts as theirs. */
  readonly signedIn?: DeviceId;
}

export interface Call<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** Set on routes for persons. */
  readonly caller: Caller;
  /** Set on routes for devices. */
  readonly device: DeviceId;
  /** On a POST of a person that brought an `Idempotency-Key`. */
  readonly idempotency: Idempotency | null;
  readonly request: Request;
  /** For what is not answered at once: streams. */
  readonly response: Response;
}

export interface Documented {
  readonly description: string;
  readonly schema?: TSchema;
  readonly example?: unknown;
  readonly contentType?: string;
}

/** One thing that the API does: how it is called, who may, what it answers. The OpenAPI document is made from these. */
export interface Route {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** With parameters as `{name}`. */
  readonly path: string;
  /** True where the last parameter goes over several segments. */
  readonly deep?: boolean;
  readonly id: string;
  readonly summary: string;
  readonly tag: string;
  readonly audience: Audience;
  /** The authorization rule in words; what it says is in the policies or in the use case. */
  readonly rule: string;
  readonly params: TObject | null;
  readonly query: TObject | null;
  readonly body: TSchema | null;
  /** `json` unless it says otherwise. */
  readonly bodyType?: 'json' | 'form';
  readonly bodyExample?: unknown;
  readonly answers: Readonly<Record<number, Documented>>;
  readonly problems: readonly ErrorCode[];
  /** True where errors are RFC 6749 JSON rather than problem documents. */
  readonly oauth?: boolean;
  /** True where calls cost next to nothing and whole sites of devices make them: they count against nobody. */
  readonly unlimited?: boolean;
  /** What a call counts for against its limit: less than 1 where it costs less than others and many are made. */
  readonly weight?: number;
  /** True where only refused calls count against their address: the others turn out to be somebody's. */
  readonly limitsRefusals?: boolean;
  /** True where a whole fleet may call at once: a few are answered at a time, the others are told when to come back. */
  readonly fleet?: boolean;
  handle(call: Call<never, never, never>): Promise<Answer | null>;
}

type Typed<P extends TObject | null, Q extends TObject | null, B extends TSchema | null> = Omit<
  Route,
  'params' | 'query' | 'body' | 'handle'
> & {
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  handle(call: Call<Shape<P>, Shape<Q>, Shape<B>>): Promise<Answer | null>;
};

type Shape<S> = S extends TSchema ? Static<S> : undefined;

/** Declares a route: its handler sees parameters, query and body as their schemas say. */
export function route<
  P extends TObject | null = null,
  Q extends TObject | null = null,
  B extends TSchema | null = null,
>(typed: Typed<P, Q, B>): Route {
  const { params = null, query = null, body = null, ...rest } = typed;
  const made: unknown = { ...rest, params, query, body };
  return made as Route;
}
