import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Signal } from '@lumino/signaling';
import type { ServerPart } from './model';
import { PLUGIN } from './tokens';

export interface IPreferences {
  readonly chip: boolean;
  readonly statusBar: boolean;
  readonly confirm: boolean;
  /** Whether environments that are made here write down by themselves what changes. */
  readonly autoRecord: boolean;
  /** Seconds; 0 for never. */
  readonly refresh: number;
}

const DEFAULTS: IPreferences = { chip: true, statusBar: true, confirm: true, autoRecord: true, refresh: 60 };

/** What the user set; the defaults where there are no settings. */
export class Preferences {
  readonly changed = new Signal<this, void>(this);

  get current(): IPreferences {
    return this._current;
  }

  /** Read them, now and whenever they change; where records lie is told by the server. */
  async load(registry: ISettingRegistry, server: ServerPart): Promise<void> {
    registry.transform(PLUGIN, { fetch: plugin => withProjects(plugin, server.said?.projects ?? '') });
    server.changed.connect(() => void registry.load(PLUGIN, true));
    const settings = await registry.load(PLUGIN, server.said !== null);
    const read = (): void => {
      const said = settings.composite as Partial<IPreferences>;
      this._current = { ...DEFAULTS, ...said };
      this.changed.emit();
    };
    settings.changed.connect(read);
    read();
  }

  private _current = DEFAULTS;
}

function withProjects(plugin: ISettingRegistry.IPlugin, projects: string): ISettingRegistry.IPlugin {
  const { properties } = plugin.schema;
  if (properties?.projects) {
    properties.projects.default = projects;
  }
  return plugin;
}
