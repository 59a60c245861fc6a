import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import { Debouncer } from '@lumino/polling';
import type { IApi } from './api';
import { type INamed, NotebookModel, type ServerPart, type SidebarModel } from './model';
import { isObject } from './request';
import { METADATA_KEY } from './tokens';

const SETTLED = 200;
const AFTER_A_CELL = 1000;

/** The model of every open notebook, kept in step with its kernel. */
export class Notebooks {
  constructor(
    private _api: IApi,
    private _server: ServerPart,
    private _sidebar: SidebarModel,
    private _contents: Contents.IManager,
    private _tracker: INotebookTracker
  ) {
    _tracker.widgetAdded.connect((_, panel) => void this.of(panel));
    _tracker.currentChanged.connect(() => this._follow());
    this._follow();
  }

  /** The one of that notebook; made when it is first asked for. */
  of(panel: NotebookPanel): NotebookModel {
    const known = this._models.get(panel);
    if (known) {
      return known;
    }
    const model = new NotebookModel(this._api, this._server, () => ({
      path: this._contents.localPath(panel.context.path),
      kernel: panel.sessionContext.session?.kernel?.id ?? null,
      recorded: recordedIn(panel)
    }));
    this._models.set(panel, model);
    this._watch(panel, model);
    return model;
  }

  panelOf(model: NotebookModel | null): NotebookPanel | null {
    return [...this._models].find(([, each]) => each === model)?.[0] ?? null;
  }

  /** Something about these environments moved: who shows them looks again, once, when it has settled. */
  moved(environment: string): void {
    this._moved.add(environment);
    void this._settled.invoke();
  }

  /** Look again everywhere. */
  refresh(): void {
    for (const model of this._models.values()) {
      void model.refresh();
    }
    void this._sidebar.reload();
  }

  /** Look again at those that somebody sees. */
  lookAtSeen(): void {
    for (const [panel, model] of this._models) {
      if (panel.isVisible || model === this._sidebar.shown) {
        this.look(model);
      }
    }
  }

  /** Look again at one of them, and at what the panel lists where it shows that one. */
  look(model: NotebookModel): void {
    void model.refresh();
    if (this._sidebar.shown === model) {
      void this._sidebar.reload();
    }
  }

  private _watch(panel: NotebookPanel, model: NotebookModel): void {
    const { sessionContext, context } = panel;
    const afterCell = new Debouncer(() => this.look(model), AFTER_A_CELL);
    // Another kernel may be another environment's; the first one, or one that is gone with its server, is no other.
    sessionContext.kernelChanged.connect(
      (_, { oldValue, newValue }) => void (oldValue && newValue ? model.restart() : model.refresh())
    );
    sessionContext.statusChanged.connect((_, status) => {
      if (
        !model.isDisposed &&
        (status === 'restarting' || status === 'autorestarting' || status === 'idle')
      ) {
        void afterCell.invoke();
      }
    });
    context.pathChanged.connect(() => void model.refresh());
    panel.disposed.connect(() => {
      afterCell.dispose();
      this._models.delete(panel);
      this._sidebar.forget(model);
      model.dispose();
    });
    void model.refresh();
    // What the notebook says of itself is known once it is read; its kernel is waited for in `kernelChanged`.
    context.ready.then(
      () => (model.state.kind === 'absent' ? model.refresh() : undefined),
      () => undefined
    );
  }

  private _follow(): void {
    const panel = this._tracker.currentWidget;
    this._sidebar.follow(panel && !panel.isDisposed ? this.of(panel) : null);
  }

  private _settle(): void {
    for (const model of this._models.values()) {
      const name = model.environment;
      if (name === null || this._moved.has(name)) {
        this.look(model);
      }
    }
    this._moved.clear();
  }

  private _moved = new Set<string>();
  private _models = new Map<NotebookPanel, NotebookModel>();
  private _settled = new Debouncer(() => this._settle(), SETTLED);
}

/** What the notebook's metadata says of where it was run; null for anything else that lies under our key. */
function recordedIn(panel: NotebookPanel): INamed | null {
  const said: unknown = panel.content.model?.getMetadata(METADATA_KEY);
  if (!isObject(said) || typeof said.environment !== 'string') {
    return null;
  }
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  return { environment: said.environment, snapshot: text(said.snapshot), lock: text(said.lock) };
}
