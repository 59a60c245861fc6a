import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, type ISessionContextDialogs, Notification } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyJSONObject, ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { IApi, IJob, INotebook, StateAction, Verb } from './api';
import { choices } from './components/Picker';
import { NAME, approve, askText, chooseEnvironment, chooseExport, nameNew, sure } from './dialogs';
import { environmentIcon } from './icons';
import type { JobsModel } from './jobs';
import type { NotebookModel, ServerPart, SidebarModel } from './model';
import type { Notebooks } from './notebooks';
import { problemOf } from './resource';
import type { Preferences } from './settings';
import { Command, type CommandId, PANEL } from './tokens';
import { verbName, wrong } from './words';

export interface IParts {
  readonly app: JupyterFrontEnd;
  readonly api: IApi;
  readonly server: ServerPart;
  readonly sidebar: SidebarModel;
  readonly jobs: JobsModel;
  readonly notebooks: Notebooks;
  readonly preferences: Preferences;
  readonly dialogs: ISessionContextDialogs;
  readonly trans: TranslationBundle;
}

interface ICommand {
  readonly id: CommandId;
  readonly label: string | ((args: ReadonlyPartialJSONObject) => string);
  readonly args?: ReadonlyJSONObject;
  readonly isEnabled?: (args: ReadonlyPartialJSONObject) => boolean;
  readonly isToggled?: () => boolean;
  readonly execute: (args: ReadonlyPartialJSONObject) => Promise<unknown>;
}

/** What brings an environment, and with it a kernel. */
const MAKING: readonly string[] = ['init', 'make', 'import'];

/** What can be done from the palette, the menu, the panel and by other extensions. */
export class Deeds {
  constructor(private _parts: IParts) {
    _parts.jobs.ended.connect((_, job) => void this._ended(job));
  }

  register(): void {
    const { commands } = this._parts.app;
    for (const command of this._commands()) {
      commands.addCommand(command.id, {
        label: command.label,
        icon: command.id === Command.show ? environmentIcon : undefined,
        isEnabled: command.isEnabled,
        isToggled: command.isToggled,
        describedBy: { args: { type: 'object', properties: command.args ?? {} } },
        execute: args => this._told(() => command.execute(args))
      });
    }
  }

  /** Whether something may be done now with the environment that is shown. */
  get ready(): boolean {
    return this.mayChange && this.environment !== null && this._parts.jobs.running(this.environment) === null;
  }

  /** Whether what is installed may be changed there now. */
  get mayInstall(): boolean {
    return this.ready && !this._notebook?.environment?.read_only;
  }

  get mayChange(): boolean {
    return this._parts.server.said?.may.change ?? false;
  }

  get environment(): string | null {
    return this._parts.sidebar.shown?.environment ?? null;
  }

  /** Choose another environment for that notebook, or one for a new notebook. */
  change(model: NotebookModel | null): Promise<unknown> {
    return this._told(() => this._change(model));
  }

  /** Switch on or off that kernels of the environment that is shown write down what changes in it. */
  record(on: boolean): Promise<unknown> {
    return this._told(() => this._begin('configure', ['--record', on ? 'on' : 'off']));
  }

  /** Have the browser fetch what a job has made. */
  download(job: IJob): void {
    if (job.file) {
      download(this._parts.api.file(job.id), job.file.name);
    }
  }

  /** The one verb that the sentence offers. */
  act(action: StateAction): Promise<unknown> {
    const { commands } = this._parts.app;
    switch (action) {
      case 'freeze':
        return commands.execute(Command.freeze);
      case 'restart':
        return commands.execute(Command.restart);
      case 'repair':
        return commands.execute(Command.repair);
      case 'create':
        return commands.execute(Command.create);
      case 'restore':
        return this._told(() => this._restoreRecorded());
    }
  }

  private _commands(): readonly ICommand[] {
    const { trans, app, sidebar, notebooks, jobs } = this._parts;
    const ready = (): boolean => this.ready;
    const text = { type: 'string' } as const;
    return [
      {
        id: Command.show,
        label: trans.__('Show Environment'),
        execute: async () => app.shell.activateById(PANEL)
      },
      {
        id: Command.refresh,
        label: trans.__('Refresh Environment'),
        execute: async () => notebooks.refresh()
      },
      {
        id: Command.pin,
        label: trans.__('Pin Environment to This Notebook'),
        isEnabled: () => sidebar.shown !== null,
        isToggled: () => sidebar.pinned,
        execute: async () => sidebar.pin(!sidebar.pinned)
      },
      {
        id: Command.change,
        label: trans.__('Change Environment…'),
        execute: () => this._change(sidebar.shown)
      },
      {
        id: Command.create,
        label: trans.__('New Environment…'),
        args: { newNotebook: { type: 'boolean' } },
        isEnabled: () => this.mayChange,
        execute: args => this._create(args.newNotebook === true ? null : this._panel)
      },
      {
        id: Command.open,
        label: args => String(args.name ?? ''),
        args: { kernel: text, cwd: text, name: text },
        execute: args => this._open(String(args.kernel), String(args.cwd ?? ''))
      },
      {
        id: Command.freeze,
        label: trans.__('Freeze Environment'),
        isEnabled: ready,
        execute: () => this._begin('freeze')
      },
      {
        id: Command.exportTo,
        label: trans.__('Export Environment…'),
        args: { format: text, file: text },
        isEnabled: ready,
        execute: args => this._export(args.format, args.file)
      },
      {
        id: Command.archive,
        label: trans.__('Archive Environment'),
        isEnabled: ready,
        execute: () => this._begin('archive')
      },
      {
        id: Command.importFrom,
        label: trans.__('Import Archive…'),
        args: { path: text, name: text },
        isEnabled: () => this.mayChange,
        execute: args => this._import(args.path, args.name)
      },
      {
        id: Command.verify,
        label: trans.__('Verify Environment'),
        isEnabled: ready,
        execute: () => this._begin('verify')
      },
      {
        id: Command.repair,
        label: trans.__('Repair Environment'),
        isEnabled: ready,
        execute: () => this._begin('repair')
      },
      {
        id: Command.restore,
        label: trans.__('Go Back to an Earlier State…'),
        args: { to: text },
        isEnabled: () => this.mayInstall,
        execute: args => this._goBack(args.to)
      },
      {
        id: Command.undo,
        label: trans.__('Undo the Last Change'),
        isEnabled: () => this.mayInstall,
        execute: () => this._undo()
      },
      {
        id: Command.restart,
        label: trans.__('Restart Kernel'),
        isEnabled: () => Boolean(this._panel?.sessionContext.session?.kernel),
        execute: () => this._restart()
      },
      {
        id: Command.cancel,
        label: trans.__('Cancel Environment Job'),
        args: { id: text },
        isEnabled: args => typeof args.id === 'string' || jobs.running(this.environment) !== null,
        execute: async args => {
          const id = typeof args.id === 'string' ? args.id : jobs.running(this.environment)?.id;
          return id ? jobs.cancel(id) : undefined;
        }
      },
      {
        id: Command.copy,
        label: trans.__('Copy as Command'),
        args: { text },
        execute: async args => {
          Clipboard.copyToSystem(String(args.text ?? `venvoy show ${this.environment ?? ''}`));
          Notification.info(trans.__('Copied.'), { autoClose: 1500 });
        }
      }
    ];
  }

  private get _panel(): NotebookPanel | null {
    return this._parts.notebooks.panelOf(this._parts.sidebar.shown);
  }

  private get _notebook(): INotebook | null {
    const state = this._parts.sidebar.shown?.state;
    return state?.kind === 'ready' ? state.notebook : null;
  }

  /** Do it; where the server refuses, say why and what mends it. */
  private async _told<T>(deed: () => Promise<T>): Promise<T | null> {
    try {
      return await deed();
    } catch (error) {
      const problem = problemOf(error);
      const message = wrong(problem, this._parts.trans);
      Notification.error(problem.hint ? `${message}\n${problem.hint}` : message, { autoClose: false });
      return null;
    }
  }

  private async _begin(
    verb: Verb,
    words: readonly string[] = [],
    environment = this.environment,
    known?: (job: IJob) => void
  ): Promise<IJob | null> {
    if (environment === null) {
      return null;
    }
    const notebook = this._parts.sidebar.shown?.subject().path ?? null;
    return this._parts.jobs.begin({ verb, environment, words, notebook }, known);
  }

  private async _export(format: unknown, file: unknown): Promise<IJob | null> {
    const { environment } = this;
    const about = await this._parts.server.about();
    const chosen =
      typeof format === 'string'
        ? { format, file: typeof file === 'string' ? file : '' }
        : about && (await chooseExport(about, this._parts.trans));
    const words = chosen && [chosen.format, ...(chosen.file ? [`--output=${chosen.file}`] : [])];
    return words ? this._begin('export', words, environment) : null;
  }

  private async _import(path: unknown, name: unknown): Promise<IJob | null> {
    const { trans } = this._parts;
    const file =
      typeof path === 'string'
        ? path
        : await askText(
            trans.__('Import an archive'),
            trans.__('Path of the archive, from the top of the file browser')
          );
    if (!file) {
      return null;
    }
    const proposed =
      file
        .split('/')
        .pop()
        ?.replace(/\.venvoy\..*$/, '') ?? '';
    const chosen =
      typeof name === 'string'
        ? name
        : await askText(trans.__('Import an archive'), trans.__('Name'), proposed);
    return chosen ? this._begin('import', [file], chosen) : null;
  }

  private async _goBack(to: unknown): Promise<IJob | null> {
    const { api, sidebar, trans, preferences } = this._parts;
    const environment = this.environment;
    const point =
      typeof to === 'string'
        ? to
        : await askText(
            trans.__('Go back'),
            trans.__('To which state? A number of the timeline, a day, “freeze”')
          );
    if (!point || environment === null) {
      return null;
    }
    if (preferences.current.confirm) {
      const plan = await api.plan(environment, point, sidebar.shown?.subject().kernel ?? null);
      if (!(await approve(plan, trans))) {
        return null;
      }
    }
    return this._begin('restore', [point], environment);
  }

  private async _undo(): Promise<IJob | null> {
    const { trans, preferences } = this._parts;
    const { environment } = this;
    const asked = trans.__(
      'The last change of “%1” is taken back. Kernels keep what they have loaded.',
      environment ?? ''
    );
    return !preferences.current.confirm || (await sure(trans.__('Undo?'), asked, trans.__('Undo')))
      ? this._begin('undo', [], environment)
      : null;
  }

  /** The state that the notebook was last run in: gone back to where it is known here, otherwise made from its lock. */
  private async _restoreRecorded(): Promise<IJob | null> {
    const recorded = this._notebook?.recorded;
    const path = this._notebook?.path;
    if (!recorded || !path) {
      return null;
    }
    if (recorded.present && recorded.known && recorded.snapshot) {
      return this._goBack(recorded.snapshot);
    }
    const { trans } = this._parts;
    const proposed = recorded.present ? `${recorded.environment}-recorded` : recorded.environment;
    const name = await askText(trans.__('Restore'), trans.__('Name of the environment'), proposed);
    return name ? this._begin('make', [path], name) : null;
  }

  private async _restart(panel = this._panel): Promise<boolean> {
    return panel ? this._parts.dialogs.restart(panel.sessionContext) : false;
  }

  private async _change(model: NotebookModel | null): Promise<void> {
    const { api, notebooks, trans } = this._parts;
    const subject = model?.subject() ?? null;
    const said = model?.state.kind === 'ready' ? model.state.notebook.recorded : null;
    const recorded = said?.environment ?? subject?.recorded?.environment ?? null;
    const listed = choices(await api.environments(), { path: subject?.path ?? null, recorded });
    const choice = await chooseEnvironment(listed, model?.environment ?? null, trans);
    const panel = notebooks.panelOf(model);
    if (!choice) {
      return;
    }
    if (choice.glance === null) {
      await this._create(panel);
    } else if (choice.glance.kernel === null) {
      Notification.error(
        choice.glance.problem ?? trans.__('No kernel can run in “%1”: venvoy check %1', choice.glance.name)
      );
    } else {
      await this._use(choice.glance.kernel, panel);
    }
  }

  /** Run that notebook with that kernel, or a new one; one that was closed meanwhile is left closed. */
  private async _use(kernel: string, panel: NotebookPanel | null): Promise<void> {
    await this._parts.app.serviceManager.kernelspecs.refreshSpecs();
    if (panel?.isDisposed) {
      return;
    }
    if (panel) {
      await panel.sessionContext.changeKernel({ name: kernel });
    } else {
      await this._open(kernel, '');
    }
  }

  private async _open(kernel: string, cwd: string): Promise<unknown> {
    return this._parts.app.commands.execute('notebook:create-new', { kernelName: kernel, cwd });
  }

  /** Make one, and run that notebook in it, or a new one. */
  private async _create(panel: NotebookPanel | null): Promise<void> {
    const { trans } = this._parts;
    const asked = await nameNew(trans);
    if (!asked) {
      return;
    }
    if (!NAME.test(asked.name)) {
      Notification.error(trans.__('“%1” is no name: letters, digits, dots, dashes, underscores', asked.name));
      return;
    }
    const words = asked.python ? ['--python', asked.python] : [];
    await this._begin('init', words, asked.name, job => this._made.set(job.id, panel));
  }

  private async _ended(job: IJob): Promise<void> {
    const { app, jobs, notebooks } = this._parts;
    // An end that is told before the job is known to be ours is told again.
    const isMine = jobs.isMine(job);
    if (job.environment !== null) {
      notebooks.moved(job.environment);
    }
    if (MAKING.includes(job.verb)) {
      await app.serviceManager.kernelspecs.refreshSpecs();
    }
    // what it found is not in events
    if (job.state === 'succeeded' && job.verb === 'verify' && !job.result) {
      await this._told(() => jobs.complete(job.id));
    }
    if (!isMine) {
      return;
    }
    this._notify(job);
    const panel = this._made.get(job.id);
    this._made.delete(job.id);
    if (job.state === 'succeeded') {
      this.download(job);
      await (MAKING.includes(job.verb) ? this._told(() => this._finish(job, panel)) : undefined);
    }
  }

  /**
   * An environment of ours is there: it records as the user wants it, and runs the notebook that it was made for. A kernel
   * that has been at work in the meantime is not ended unasked.
   */
  private async _finish(job: IJob, panel: NotebookPanel | null | undefined): Promise<void> {
    const { api, preferences } = this._parts;
    if (!preferences.current.autoRecord && job.environment !== null) {
      await this._begin('configure', ['--record', 'off'], job.environment);
    }
    if (panel === undefined) {
      return;
    }
    const glance = (await api.environments()).find(each => each.name === job.environment);
    if (glance?.kernel && (await this._mayEnd(panel, glance.name))) {
      await this._use(glance.kernel, panel);
    }
  }

  /** Whether a notebook's kernel may be ended for one of that environment. */
  private async _mayEnd(panel: NotebookPanel | null, environment: string): Promise<boolean> {
    const { trans } = this._parts;
    if (!panel || panel.isDisposed || !panel.sessionContext.session?.kernel) {
      return true;
    }
    const told = trans.__(
      '“%1” is ready. With its kernel, %2 loses what the one that runs now has in memory.',
      environment,
      panel.title.label
    );
    return sure(trans.__('Change the kernel?'), told, trans.__('Change'));
  }

  private _notify(job: IJob): void {
    const { trans, app } = this._parts;
    const name = `${verbName(job.verb, trans)} (${job.environment ?? ''})`;
    const action = (label: string, callback: () => void): Notification.IAction => ({ label, callback });
    const panel = this._panel;
    const runs = this.environment === job.environment && panel?.sessionContext.session?.kernel;
    if (job.state === 'succeeded' && ['restore', 'undo'].includes(job.verb) && runs) {
      Notification.success(trans.__('%1: done. The kernel goes on with what it has loaded.', name), {
        autoClose: 10000,
        // another notebook may be shown when it is clicked
        actions: [action(trans.__('Restart kernel'), () => void (panel.isDisposed || this._restart(panel)))]
      });
    } else if (job.state === 'succeeded') {
      Notification.success(trans.__('%1: done', name), { autoClose: 4000 });
    } else if (job.state !== 'cancelled') {
      Notification.error(`${name}: ${job.error?.message ?? trans.__('it ended without a word')}`, {
        autoClose: false,
        actions: [action(trans.__('Show'), () => void app.commands.execute(Command.show))]
      });
    }
  }

  /** The notebooks that wait for the environments that jobs make; null for a new one. */
  private _made = new Map<string, NotebookPanel | null>();
}

function download(address: string, name: string): void {
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}
