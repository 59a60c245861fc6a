import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import {
  ICommandPalette,
  ISessionContextDialogs,
  IToolbarWidgetRegistry,
  SessionContextDialogs
} from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Poll } from '@lumino/polling';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import { Api, isJob } from './api';
import { ChipWidget } from './chip';
import { Deeds, type IParts } from './commands';
import { JobsModel } from './jobs';
import { LauncherSection } from './launcher';
import { ServerPart, SidebarModel } from './model';
import { Notebooks } from './notebooks';
import { EnvironmentPanel } from './panel';
import { ServerRequest } from './request';
import { Preferences } from './settings';
import { Command, ENVIRONMENT_EVENT, JOB_EVENT, PANEL, PLUGIN } from './tokens';

const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN,
  description: 'The environment of the notebook in front.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [
    ITranslator,
    ILayoutRestorer,
    ICommandPalette,
    IToolbarWidgetRegistry,
    IStatusBar,
    ISettingRegistry,
    ILauncher,
    ISessionContextDialogs
  ],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    toolbars: IToolbarWidgetRegistry | null,
    statusBar: IStatusBar | null,
    registry: ISettingRegistry | null,
    launcher: ILauncher | null,
    dialogs: ISessionContextDialogs | null
  ): void => {
    const parts = assemble(app, tracker, translator ?? nullTranslator, dialogs);
    const { trans } = parts;
    const deeds = new Deeds(parts);
    deeds.register();

    const panel = new EnvironmentPanel(parts, deeds, translator ?? nullTranslator);
    app.shell.add(panel, 'left', { rank: 600, type: 'Environment' });
    restorer?.add(panel, PANEL);
    for (const model of [parts.sidebar, parts.jobs, parts.server]) {
      model.changed.connect(() => app.commands.notifyCommandChanged());
    }

    const shown: readonly string[] = Object.values(Command).filter(
      id => id !== Command.open && id !== Command.copy
    );
    for (const command of shown) {
      palette?.addItem({ command, category: trans.__('Environment') });
    }
    listen(parts);
    keepFresh(parts);
    if (registry) {
      // without them it is as it is delivered
      parts.preferences.load(registry, parts.server).catch(() => undefined);
    }
    addChips(parts, deeds, toolbars, statusBar);
    if (launcher) {
      void new LauncherSection(app, parts.api, parts.server, launcher, trans).fill();
    }
  }
};

function assemble(
  app: JupyterFrontEnd,
  tracker: INotebookTracker,
  translator: ITranslator,
  dialogs: ISessionContextDialogs | null
): IParts {
  const { serviceManager } = app;
  const api = new Api(new ServerRequest(serviceManager.serverSettings));
  const server = new ServerPart(api);
  const sidebar = new SidebarModel(api);
  return {
    app,
    api,
    server,
    sidebar,
    jobs: new JobsModel(api),
    notebooks: new Notebooks(api, server, sidebar, serviceManager.contents, tracker),
    preferences: new Preferences(),
    dialogs: dialogs ?? new SessionContextDialogs({ translator }),
    trans: translator.load('venvoy')
  };
}

/** The server tells through Jupyter's own socket; what was said while nobody listened is asked for. */
function listen({ app, jobs, notebooks, server }: IParts): void {
  app.serviceManager.events.stream.connect((_, event) => {
    if (event.schema_id === JOB_EVENT && isJob(event)) {
      jobs.update(event);
    } else if (event.schema_id === ENVIRONMENT_EVENT && typeof event.environment === 'string') {
      notebooks.moved(event.environment);
    }
  });
  void server
    .about()
    .then(about => (about ? jobs.reconcile() : undefined))
    .catch(() => undefined);
}

/** Events bring what is new; this is for what no event told, and rests while the page is hidden. */
function keepFresh({ notebooks, preferences }: IParts): void {
  let poll: Poll | null = null;
  const set = (): void => {
    poll?.dispose();
    const { refresh } = preferences.current;
    poll =
      refresh > 0
        ? new Poll({
            name: 'venvoy:refresh',
            frequency: { interval: refresh * 1000, backoff: true, max: 300_000 },
            standby: 'when-hidden',
            linger: 0,
            factory: async () => notebooks.lookAtSeen()
          })
        : null;
  };
  preferences.changed.connect(set);
  set();
}

function addChips(
  parts: IParts,
  deeds: Deeds,
  toolbars: IToolbarWidgetRegistry | null,
  statusBar: IStatusBar | null
): void {
  const { app, notebooks, preferences, sidebar, trans } = parts;
  const open = (): void => void app.commands.execute(Command.show);
  toolbars?.addFactory<NotebookPanel>('Notebook', 'venvoy', panel => {
    if (!preferences.current.chip) {
      return new Widget();
    }
    const chip = new ChipWidget(trans, open, model => void deeds.change(model));
    chip.model = notebooks.of(panel);
    chip.fitInto(panel);
    return chip;
  });
  if (!statusBar) {
    return;
  }
  const item = new ChipWidget(trans, open);
  const follow = (): void => {
    if (item.model !== sidebar.shown) {
      item.model = sidebar.shown;
    }
  };
  const activity = new Signal<object, void>({});
  sidebar.changed.connect(() => {
    follow();
    activity.emit();
  });
  preferences.changed.connect(() => activity.emit());
  statusBar.registerStatusItem(`${PLUGIN}-status`, {
    item,
    align: 'left',
    rank: 60,
    isActive: () => preferences.current.statusBar && sidebar.shown !== null,
    activeStateChanged: activity
  });
}

export default plugin;
