/** The part of oidc-provider that the development provider uses; the package itself comes without types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  /** What is known while one call is answered. */
  export interface ProviderContext {
    body: unknown;
    type: string;
    status: number;
    readonly oidc: {
      readonly provider: Provider;
      readonly client?: { readonly clientId: string; readonly clientName?: string };
      readonly session?: { readonly accountId?: string };
      readonly account?: { readonly accountId: string };
      readonly result?: { readonly login?: object };
      readonly params?: Readonly<Record<string, unknown>>;
    };
  }

  export interface Interaction {
    readonly uid: string;
    readonly prompt: { readonly name: string };
    readonly params: { readonly client_id: string };
  }

  export interface GrantRecord {
    addOIDCScope(scope: string): void;
    addResourceScope(resource: string, scope: string): void;
    save(): Promise<string>;
  }

  export interface Prompt {
    readonly checks: { add(check: interactionPolicy.Check): void };
  }

  export namespace interactionPolicy {
    class Check {
      static readonly REQUEST_PROMPT: true;
      static readonly NO_NEED_TO_PROMPT: false;
      constructor(reason: string, description: string, check: (context: ProviderContext) => boolean);
    }
    function base(): { get(name: string): Prompt; remove(name: string): void };
  }

  export class Provider {
    constructor(issuer: string, configuration: object);
    readonly Grant: new (properties: { accountId: string; clientId: string }) => GrantRecord;
    use(middleware: (context: ProviderContext, next: () => Promise<void>) => Promise<void>): this;
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>;
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>;
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: object,
      options?: { mergeWithLastSubmission: boolean },
    ): Promise<void>;
    on(event: string, listener: (...values: unknown[]) => void): this;
  }
}
