interface Entry {
  readonly payload: Payload;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}
interface Payload {
  consumed?: number;
  readonly grantId?: string;
  readonly userCode?: string;
  readonly uid?: string;
}

/**
 * Makes the place where oidc-provider keeps codes, sessions and grants: in memory, gone with the process. It fits the
 * provider's adapter interface: one instance for each kind of thing.
 */
export function createMemory(): new (kind: string) => object {
  const kinds = new Map<string, Map<string, Entry>>();

  return class Memory {
    readonly entries: Map<string, Entry>;

    constructor(kind: string) {
      this.entries = kinds.get(kind) ?? new Map<string, Entry>();
      kinds.set(kind, this.entries);
    }

    async upsert(id: string, payload: Payload, expiresIn?: number): Promise<void> {
      const now = Date.now();
      for (const [key, { expiresAt }] of this.entries) if (expiresAt <= now) this.entries.delete(key);
      this.entries.set(id, { payload, expiresAt: expiresIn === undefined ? Infinity : now + expiresIn * 1_000 });
    }

    async find(id: string): Promise<Payload | undefined> {
      const entry = this.entries.get(id);
      return entry && entry.expiresAt > Date.now() ? entry.payload : undefined;
    }

    async findByUserCode(userCode: string): Promise<Payload | undefined> {
      return this.#first((payload) => payload.userCode === userCode);
    }

    async findByUid(uid: string): Promise<Payload | undefined> {
      return this.#first((payload) => payload.uid === uid);
    }

    async consume(id: string): Promise<void> {
      const entry = this.entries.get(id);
      if (entry) entry.payload.consumed = Math.floor(Date.now() / 1_000);
    }

    async destroy(id: string): Promise<void> {
      this.entries.delete(id);
    }

    async revokeByGrantId(grantId: string): Promise<void> {
      for (const [id, { payload }] of this.entries) if (payload.grantId === grantId) this.entries.delete(id);
    }

    #first(matches: (payload: Payload) => boolean): Payload | undefined {
      const now = Date.now();
      return this.entries.values().find(({ payload, expiresAt }) => expiresAt > now && matches(payload))?.payload;
    }
  };
}
