import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import type { ITranslator } from '@jupyterlab/translation';
import { type Message, MessageLoop } from '@lumino/messaging';
import { type AccordionPanel, Widget } from '@lumino/widgets';
import React from 'react';
import type { IIdentity, ILog } from './api';
import type { Deeds, IParts } from './commands';
import { Actions, type IAction } from './components/Actions';
import { Header } from './components/Header';
import { Identity } from './components/Identity';
import { Jobs } from './components/Jobs';
import { KeptFocus } from './components/KeptFocus';
import { Packages } from './components/Packages';
import { Timeline } from './components/Timeline';
import { environmentIcon, kindIcon } from './icons';
import { Command, type CommandId, PANEL } from './tokens';

/** One part of the panel, drawn again whenever what is shown or what goes on has changed. */
class Section extends ReactWidget {
  constructor(
    title: string,
    parts: IParts,
    private _draw: () => JSX.Element
  ) {
    super();
    this.title.label = title;
    this.addClass('vv-Section');
    this.node.tabIndex = -1;
    parts.sidebar.changed.connect(this._redraw, this);
    parts.jobs.changed.connect(this._redraw, this);
    parts.server.changed.connect(this._redraw, this);
  }

  protected render(): JSX.Element {
    return <KeptFocus home={this.node}>{this._draw()}</KeptFocus>;
  }

  private _redraw(): void {
    this.update();
  }
}

/** The panel: it shows what the models say and hands every click to a command. */
export class EnvironmentPanel extends SidePanel {
  constructor(
    private _parts: IParts,
    private _deeds: Deeds,
    translator: ITranslator
  ) {
    super({ translator });
    const { trans } = _parts;
    this.id = PANEL;
    this.addClass('vv-Panel');
    this.title.icon = environmentIcon;
    this.title.caption = trans.__('Environment');
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Environment'));
    const top = new Section(trans.__('Environment'), _parts, () => this._top());
    top.addClass('vv-Top');
    this.header.addWidget(top);
    this.addWidget(new Section(trans.__('Packages'), _parts, () => this._packages()));
    this.addWidget(new Section(trans.__('Timeline'), _parts, () => this._timeline()));
    this.addWidget(new Section(trans.__('Actions'), _parts, () => this._actions()));
    this.addWidget(new Section(trans.__('Details'), _parts, () => this._details()));
    const content = this.content as AccordionPanel;
    // What is looked at stands open; what is done and what rarely changes is a click away. The title of a widget that
    // is only hidden says in JupyterLab 4.2 that it is open, and the first click changes nothing.
    content.collapse(2);
    content.collapse(3);
    content.expansionToggled.connect(this._share, this);
    this._sized = new ResizeObserver(() =>
      MessageLoop.postMessage(this.content, Widget.ResizeMessage.UnknownSize)
    );
    this._sized.observe(this.header.node);
  }

  dispose(): void {
    this._sized.disconnect();
    super.dispose();
  }

  /** Escape goes back to the notebook. */
  handleEvent(event: Event): void {
    const { target } = event;
    const leaves = event instanceof KeyboardEvent && event.key === 'Escape' && !event.defaultPrevented;
    // a search field with something in it is emptied first
    if (leaves && !(target instanceof HTMLInputElement && target.value !== '')) {
      const shown = this._parts.notebooks.panelOf(this._parts.sidebar.shown);
      this._parts.app.shell.activateById(shown?.id ?? '');
    }
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.node.addEventListener('keydown', this);
  }

  protected onBeforeDetach(message: Message): void {
    this.node.removeEventListener('keydown', this);
    super.onBeforeDetach(message);
  }

  /** Whoever opens it by a key goes on in it by keys. */
  protected onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.node.focus();
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._parts.sidebar.visible = true;
  }

  protected onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this._parts.sidebar.visible = false;
  }

  /** A section that never was open has no size to come back to. */
  private _share(content: AccordionPanel, index: number): void {
    if (!content.widgets[index].isHidden && content.relativeSizes()[index] < 0.1) {
      content.setRelativeSizes(content.widgets.map(each => (each.isHidden ? 0 : 1)));
    }
  }

  private get _identity(): IIdentity | null {
    const state = this._parts.sidebar.shown?.state;
    return state?.kind === 'ready' ? state.notebook.environment : null;
  }

  private _top(): JSX.Element {
    const { sidebar, jobs, trans } = this._parts;
    const shown = sidebar.shown;
    return (
      <>
        <Header
          state={shown?.state ?? null}
          notebook={shown?.subject().path ?? ''}
          mayChange={this._deeds.mayChange}
          busy={jobs.running(this._deeds.environment) !== null}
          pinned={sidebar.pinned}
          trans={trans}
          onAction={action => void this._deeds.act(action)}
          onChange={this._runs(Command.change)}
          onCreate={this._runs(Command.create)}
          onPin={this._runs(Command.pin)}
          onRetry={this._runs(Command.refresh)}
        />
        <Jobs
          jobs={jobs.latest(this._deeds.environment)}
          environment={this._deeds.environment}
          trans={trans}
          onCancel={id => this._run(Command.cancel, { id })}
          onForget={id => void jobs.cancel(id).catch(() => jobs.forget(id))}
          onCopy={this._copy}
          onDownload={job => this._deeds.download(job)}
          readLog={this._readLog}
        />
      </>
    );
  }

  private _packages(): JSX.Element {
    const { sidebar, trans } = this._parts;
    return <Packages packages={sidebar.packages.state} trans={trans} onRetry={this._reload} />;
  }

  private _timeline(): JSX.Element {
    const { sidebar, trans, api } = this._parts;
    return (
      <Timeline
        key={this._deeds.environment ?? ''}
        history={sidebar.history.state}
        mayChange={this._deeds.mayInstall}
        trans={trans}
        onCompare={(from, to) => api.diff(this._deeds.environment ?? '', from, to)}
        onGoBack={index => this._run(Command.restore, { to: String(index) })}
        onEarlier={() => void sidebar.showEarlier()}
        onRetry={this._reload}
      />
    );
  }

  private _actions(): JSX.Element {
    return (
      <Actions
        actions={this._identity ? this._listed(this._identity) : []}
        trans={this._parts.trans}
        onCopy={this._copy}
      />
    );
  }

  private _listed(identity: IIdentity): readonly IAction[] {
    const { trans, server, app } = this._parts;
    const name = identity.environment.name;
    const magics = new Map(server.said?.verbs.map(each => [each.name, each.magic]));
    const action = (id: CommandId, verb: string, label: string, about: string, command: string): IAction => ({
      name: verb,
      label,
      about,
      command,
      magic: magics.get(verb) ?? null,
      enabled: app.commands.isEnabled(id),
      run: this._runs(id)
    });
    return [
      action(
        Command.freeze,
        'freeze',
        trans.__('Freeze'),
        trans.__('Write down every package with its hash'),
        `venvoy freeze ${name}`
      ),
      action(
        Command.exportTo,
        'export',
        trans.__('Export…'),
        trans.__('Write it in another format, and download that'),
        `venvoy export ${name} --format requirements`
      ),
      action(
        Command.archive,
        'archive',
        trans.__('Archive'),
        trans.__('Pack it with all its packages, to be made again without network'),
        `venvoy archive ${name}`
      ),
      action(
        Command.verify,
        'verify',
        trans.__('Verify'),
        trans.__('Say how far it is what was frozen'),
        `venvoy verify ${name}`
      ),
      action(
        Command.restore,
        'restore',
        trans.__('Restore…'),
        trans.__('Make it again what it was; the plan comes first'),
        `venvoy restore ${name} --to freeze`
      ),
      action(
        Command.undo,
        'undo',
        trans.__('Undo'),
        trans.__('Take the last change back'),
        `venvoy undo ${name}`
      ),
      action(
        Command.importFrom,
        'import',
        trans.__('Import…'),
        trans.__('Make an environment from an archive'),
        'venvoy import-archive ARCHIVE'
      )
    ];
  }

  private _details(): JSX.Element {
    const { sidebar, trans } = this._parts;
    const identity = this._identity;
    const Icon = identity ? kindIcon(identity.kind).react : null;
    return (
      <Identity
        identity={identity}
        size={sidebar.size.state}
        icon={Icon && <Icon tag="span" className="vv-Icon" />}
        mayChange={this._deeds.ready}
        trans={trans}
        onCopy={this._copy}
        onMeasure={() => void sidebar.measure()}
        onRecord={on => void this._deeds.record(on)}
      />
    );
  }

  private _run(id: CommandId, args: Record<string, string> = {}): void {
    void this._parts.app.commands.execute(id, args);
  }

  private _runs(id: CommandId): () => void {
    return () => this._run(id);
  }

  private _copy = (text: string): void => this._run(Command.copy, { text });

  private _reload = (): void => void this._parts.sidebar.reload();

  private _readLog = (id: string, offset: number): Promise<ILog> => this._parts.jobs.log(id, offset);

  // The sections share what the head leaves, and the head grows without telling them.
  private _sized: ResizeObserver;
}
