/** What a person is told of an action before doing it. */
export interface ActionDescription {
  readonly description: string;
  /** What kind of data its output holds, in the words of the profiles. */
  readonly dataClass: string;
  /** After how many seconds it is stopped. */
  readonly timeLimitSeconds: number;
  readonly parameters: readonly ParameterDescription[];
}

/** One argument that an action takes. */
export interface ParameterDescription {
  readonly name: string;
  readonly type: 'text' | 'path' | 'integer' | 'boolean';
  readonly description: string;
  readonly required: boolean;
  readonly default?: string | number | boolean;
  /** All the values there are. */
  readonly values?: readonly string[];
  /** A regular expression that the whole of a text matches. */
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly example?: string;
}
