/** What does not hold. */
export class Offence extends Error {
  override readonly name = 'Offence';
  /** The entry that does not hold, or the first that nothing vouches for. */
  readonly index: number;
  /** False when all that is known is that something at `index` or after it does not hold. */
  readonly exact: boolean;
  constructor(index: number, reason: string, exact = true) {
    super(reason);
    this.index = index;
    this.exact = exact;
  }
}
