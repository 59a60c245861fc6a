import type { IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { type ISignal, Signal } from '@lumino/signaling';
import { type IApi, type IJob, type ILog, type IWish, hasEnded } from './api';

const ENDED_SHOWN = 2;
const SAFETY = { interval: 3000, backoff: true, max: 30000 };

/**
 * What goes on, whoever began it. Events tell; they are not repeated for who was away, so that while a job goes on the
 * server is asked now and then as well.
 */
export class JobsModel implements IDisposable {
  constructor(private _api: IApi) {
    this._poll = new Poll({
      auto: false,
      name: 'venvoy:jobs',
      frequency: SAFETY,
      standby: 'when-hidden',
      linger: 0,
      factory: () => this.reconcile()
    });
  }

  get changed(): ISignal<this, IJob> {
    return this._changed;
  }

  get ended(): ISignal<this, IJob> {
    return this._ended;
  }

  get isDisposed(): boolean {
    return this._poll.isDisposed;
  }

  /** The newest first. */
  get all(): readonly IJob[] {
    return [...this._jobs.values()].sort((one, other) => (one.started < other.started ? 1 : -1));
  }

  /** What goes on anywhere, and how the last ones ended of that environment or of this page. */
  latest(environment: string | null): readonly IJob[] {
    const { all } = this;
    const near = all.filter(
      job => this.isMine(job) || (environment !== null && job.environment === environment)
    );
    const ended = near.filter(hasEnded).slice(0, ENDED_SHOWN);
    return all.filter(job => !hasEnded(job) || ended.includes(job));
  }

  /** What goes on in that environment. */
  running(environment: string | null): IJob | null {
    return (
      this.all.find(job => environment !== null && job.environment === environment && !hasEnded(job)) ?? null
    );
  }

  get(id: string): IJob | null {
    return this._jobs.get(id) ?? null;
  }

  /** `known` hears which job it is before anybody hears how it ends, which may be told before the server answers. */
  async begin(wish: IWish, known: (job: IJob) => void = () => undefined): Promise<IJob> {
    const job = await this._api.begin(wish);
    this._mine.add(job.id);
    known(job);
    const told = this._jobs.get(job.id);
    if (told && hasEnded(told)) {
      this._ended.emit(told);
    } else {
      this.update(job);
    }
    return this._jobs.get(job.id) ?? job;
  }

  /** Whether this page began it. */
  isMine(job: IJob): boolean {
    return this._mine.has(job.id);
  }

  async cancel(id: string): Promise<void> {
    const job = await this._api.cancel(id);
    if (job) {
      this.update(job);
    } else {
      this.forget(id);
    }
  }

  forget(id: string): void {
    const job = this._jobs.get(id);
    if (job && this._jobs.delete(id)) {
      this._changed.emit(job);
    }
  }

  /** Take in a job from an event or an answer; one that is late or repeated says nothing new. */
  update(job: IJob): void {
    const known = this._jobs.get(job.id);
    if (known && !isNews(job, known)) {
      return;
    }
    this._jobs.set(job.id, job);
    this._changed.emit(job);
    if (hasEnded(job)) {
      if (!known || !hasEnded(known)) {
        this._ended.emit(job);
      }
    } else {
      void this._poll.start();
    }
    this._rest();
  }

  /** Fetch what only a job that has ended can tell: its result. */
  async complete(id: string): Promise<void> {
    this.update(await this._api.job(id));
  }

  /** What a job has said since `offset`, and where that ends. */
  async log(id: string, offset: number): Promise<ILog> {
    let read = await this._api.log(id, offset);
    let { text } = read;
    while (read.text && read.offset < read.size) {
      read = await this._api.log(id, read.offset);
      text += read.text;
    }
    return { ...read, text };
  }

  /** Catch up with the server, after a lost connection too. */
  async reconcile(): Promise<void> {
    // what begins while the server answers is in no answer
    const open = this.all.filter(job => !hasEnded(job)).map(job => job.id);
    const listed = await this._api.jobs();
    const there = new Set(listed.map(job => job.id));
    for (const job of listed) {
      // what ended before this page looked is history, and no news
      if (!hasEnded(job) || this._jobs.has(job.id)) {
        this.update(job);
      }
    }
    for (const id of open) {
      const job = this._jobs.get(id);
      if (job && !hasEnded(job) && !there.has(id)) {
        this._lose(job);
      }
    }
    this._rest();
  }

  dispose(): void {
    this._poll.dispose();
    Signal.clearData(this);
  }

  private _lose(job: IJob): void {
    const lost: IJob = { ...job, state: 'lost' };
    this._jobs.set(job.id, lost);
    this._changed.emit(lost);
    this._ended.emit(lost);
  }

  private _rest(): void {
    if (this.all.every(hasEnded) && !this._poll.isDisposed) {
      void this._poll.stop();
    }
  }

  private _poll: Poll;
  private _jobs = new Map<string, IJob>();
  private _mine = new Set<string>();
  private _changed = new Signal<this, IJob>(this);
  private _ended = new Signal<this, IJob>(this);
}

function isNews(job: IJob, known: IJob): boolean {
  const brings = job.seq === known.seq && Boolean(job.result) && !known.result;
  return job.seq > known.seq || known.state === 'lost' || brings;
}
