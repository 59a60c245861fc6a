import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import type { IAbout, IApi, IHistory, INotebook, IPackages } from './api';
import { type IProblem, Resource } from './resource';
import { RequestError } from './request';

/** What a notebook's own metadata says of where it was run. */
export interface INamed {
  readonly environment: string;
  readonly snapshot: string | null;
  readonly lock: string | null;
}

/** The notebook that is looked at, as the browser knows it. */
export interface ISubject {
  readonly path: string | null;
  readonly kernel: string | null;
  readonly recorded: INamed | null;
}

export type NotebookState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'absent'; readonly recorded: INamed | null }
  | { readonly kind: 'forbidden'; readonly problem: IProblem }
  | { readonly kind: 'failed'; readonly problem: IProblem }
  | { readonly kind: 'ready'; readonly notebook: INotebook; readonly stale: IProblem | null };

const HAS_NO_SUCH_ROUTE = [404, 405, 501];

/** Whether venvoy's part of the server is there; asked once, and again only where nobody answered. */
export class ServerPart {
  constructor(private _api: IApi) {}

  /** What it says of itself; null where this server has none. */
  about(): Promise<IAbout | null> {
    this._asked ??= this._api.about().then(
      about => {
        this._said = about;
        this._changed.emit();
        return about;
      },
      (error: unknown) => {
        if (error instanceof RequestError && HAS_NO_SUCH_ROUTE.includes(error.status)) {
          return null;
        }
        this._asked = null;
        throw error;
      }
    );
    return this._asked;
  }

  /** What it has said; null before, and where there is none. */
  get said(): IAbout | null {
    return this._said;
  }

  /** It has said what it is. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  private _said: IAbout | null = null;
  private _changed = new Signal<this, void>(this);
  private _asked: Promise<IAbout | null> | null = null;
}

/** One notebook and its environment: what its chip says, and what the panel says while it is in front. */
export class NotebookModel implements IDisposable {
  constructor(
    private _api: IApi,
    private _server: ServerPart,
    readonly subject: () => ISubject
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get state(): NotebookState {
    const { state } = this._notebook;
    switch (state.kind) {
      case 'idle':
      case 'loading':
        return { kind: 'loading' };
      case 'failed':
        return { kind: state.problem.status === 403 ? 'forbidden' : 'failed', problem: state.problem };
      case 'ready':
        return state.value === null
          ? { kind: 'absent', recorded: this.subject().recorded }
          : { kind: 'ready', notebook: state.value, stale: state.stale };
    }
  }

  /** The name of its environment, where one is known. */
  get environment(): string | null {
    return this._notebook.value?.environment?.environment.name ?? null;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  refresh(): Promise<void> {
    const { path, kernel } = this.subject();
    return this._notebook.load(async () =>
      (await this._server.about()) === null ? null : this._api.notebook(path, kernel)
    );
  }

  /** Another kernel runs it now, so that what was said of the one before no longer counts. */
  restart(): Promise<void> {
    this._notebook.reset();
    return this.refresh();
  }

  dispose(): void {
    this._isDisposed = true;
    Signal.clearData(this);
  }

  private _isDisposed = false;
  private _changed = new Signal<this, void>(this);
  private _notebook = new Resource<INotebook | null>(() => {
    if (!this._isDisposed) {
      this._changed.emit();
    }
  });
}

const ENTRIES_AT_FIRST = 50;
/** No more are told at once. */
export const MOST_ENTRIES = 1000;

/** What the panel shows: the notebook in front, or the one that is pinned, and what is in its environment. */
export class SidebarModel implements IDisposable {
  constructor(private _api: IApi) {}

  readonly packages = new Resource<IPackages>(() => this._changed.emit());
  readonly history = new Resource<IHistory>(() => this._changed.emit());
  readonly size = new Resource<number>(() => this._changed.emit());

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get shown(): NotebookModel | null {
    return this._pinned ?? this._front;
  }

  get pinned(): boolean {
    return this._pinned !== null;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Nothing is fetched for a panel that nobody sees. */
  get visible(): boolean {
    return this._visible;
  }

  set visible(visible: boolean) {
    this._visible = visible;
    if (visible && this._isDue) {
      void this.reload();
    }
  }

  /** The notebook that came to the front. */
  follow(notebook: NotebookModel | null): void {
    this._front = notebook;
    if (!this._pinned) {
      this._show();
    }
  }

  /** Keep to the notebook that is shown, or follow the one in front again. */
  pin(on: boolean): void {
    this._pinned = on ? this.shown : null;
    this._show();
  }

  /** A notebook was closed. */
  forget(notebook: NotebookModel): void {
    if (this._front === notebook) {
      this._front = null;
    }
    if (this._pinned === notebook) {
      this._pinned = null;
    }
    this._show();
  }

  /** Fetch again what the panel lists. */
  async reload(): Promise<void> {
    const name = this._environment;
    this._isDue = !this._visible;
    if (name === null || this._isDue) {
      return;
    }
    const { path, kernel } = this.shown?.subject() ?? { path: null, kernel: null };
    await Promise.all([
      this.packages.load(() => this._api.packages(name, path, kernel)),
      this.history.load(() => this._api.history(name, this._entries))
    ]);
    const listed = this.packages.value;
    if (name !== this._environment || listed === null) {
      return;
    }
    const installed = JSON.stringify(listed.packages.map(each => [each.name, each.version]));
    if (this._installed !== null && this._installed !== installed) {
      this.size.reset(); // what was measured was of other packages
    }
    this._installed = installed;
  }

  showEarlier(): Promise<void> {
    this._entries = Math.min(MOST_ENTRIES, this._entries + ENTRIES_AT_FIRST * 2);
    return this.reload();
  }

  measure(): Promise<void> {
    const name = this._environment;
    return name === null ? Promise.resolve() : this.size.load(() => this._api.size(name));
  }

  dispose(): void {
    this._isDisposed = true;
    this._watched?.changed.disconnect(this._look, this);
    Signal.clearData(this);
  }

  private _show(): void {
    this._watched?.changed.disconnect(this._look, this);
    this._watched = this.shown;
    this._watched?.changed.connect(this._look, this);
    this._look();
  }

  private _look(): void {
    const name = this.shown?.environment ?? null;
    if (name !== this._environment || this._watched !== this._listed) {
      this._environment = name;
      this._listed = this._watched;
      this._entries = ENTRIES_AT_FIRST;
      this.packages.reset();
      this.history.reset();
      this.size.reset();
      this._installed = null;
      void this.reload();
    }
    this._changed.emit();
  }

  private _front: NotebookModel | null = null;
  private _pinned: NotebookModel | null = null;
  private _watched: NotebookModel | null = null;
  private _listed: NotebookModel | null = null;
  private _environment: string | null = null;
  private _entries = ENTRIES_AT_FIRST;
  private _installed: string | null = null;
  private _visible = false;
  private _isDue = false;
  private _isDisposed = false;
  private _changed = new Signal<this, void>(this);
}
