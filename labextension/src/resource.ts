import { RequestError } from './request';

/** The status of what is a fault of this page itself. */
export const OUR_OWN = -3;

export interface IProblem {
  readonly status: number;
  readonly message: string;
  readonly hint: string | null;
}

export type Loadable<T> =
  | { readonly kind: 'idle' }
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly problem: IProblem }
  | { readonly kind: 'ready'; readonly value: T; readonly stale: IProblem | null };

export function problemOf(error: unknown): IProblem {
  if (error instanceof RequestError) {
    return { status: error.status, message: error.message, hint: error.hint };
  }
  return { status: OUR_OWN, message: error instanceof Error ? error.message : String(error), hint: null };
}

/** Something that is fetched: the answer to the latest question counts, and an old answer stays until there is a new one. */
export class Resource<T> {
  constructor(private _changed: () => void) {}

  get state(): Loadable<T> {
    return this._state;
  }

  get value(): T | null {
    return this._state.kind === 'ready' ? this._state.value : null;
  }

  reset(): void {
    this._turn += 1;
    this._become({ kind: 'idle' });
  }

  async load(fetch: () => Promise<T>): Promise<void> {
    const turn = ++this._turn;
    if (this._state.kind !== 'ready') {
      this._become({ kind: 'loading' });
    }
    let next: Loadable<T>;
    try {
      next = { kind: 'ready', value: await fetch(), stale: null };
    } catch (error) {
      const problem = problemOf(error);
      next = this._state.kind === 'ready' ? { ...this._state, stale: problem } : { kind: 'failed', problem };
    }
    if (turn === this._turn) {
      this._become(next);
    }
  }

  private _become(state: Loadable<T>): void {
    this._state = state;
    this._changed();
  }

  private _state: Loadable<T> = { kind: 'idle' };
  private _turn = 0;
}
