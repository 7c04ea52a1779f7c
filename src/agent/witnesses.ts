/** Who must have cosigned the checkpoint of a receipt: of the agent's own configuration, never from the broker. */
export interface DemandedWitnesses {
  /** Their keys as C2SP vkeys of type 0x04. */
  readonly keys: readonly string[];
  readonly needed: number;
}
