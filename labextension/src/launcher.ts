import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ILauncher } from '@jupyterlab/launcher';
import type { TranslationBundle } from '@jupyterlab/translation';
import { DisposableSet } from '@lumino/disposable';
import type { IApi } from './api';
import type { ServerPart } from './model';
import { Command } from './tokens';

const SHOWN = 12;

/** The section “Environments” of the launcher: the ones that were used last, each a click from a new notebook. */
export class LauncherSection {
  constructor(
    private _app: JupyterFrontEnd,
    private _api: IApi,
    private _server: ServerPart,
    private _launcher: ILauncher,
    private _trans: TranslationBundle
  ) {
    _app.serviceManager.kernelspecs.specsChanged.connect(() => void this.fill());
  }

  async fill(): Promise<void> {
    const about = await this._server.about().catch(() => null);
    const glances = about ? await this._api.environments().catch(() => []) : [];
    const usable = glances
      .filter(each => each.kernel !== null && each.problem === null)
      .sort((one, other) => ((one.used ?? '') < (other.used ?? '') ? 1 : -1))
      .slice(0, SHOWN);
    this._items.dispose();
    this._items = new DisposableSet();
    const specs = this._app.serviceManager.kernelspecs.specs?.kernelspecs ?? {};
    usable.forEach((glance, rank) => {
      const resources = specs[glance.kernel ?? '']?.resources ?? {};
      this._items.add(
        this._launcher.add({
          command: Command.open,
          args: { kernel: glance.kernel, name: glance.name },
          category: this._trans.__('Environments'),
          kernelIconUrl: resources['logo-svg'] ?? resources['logo-64x64'],
          rank
        })
      );
    });
    if (about?.may.change) {
      this._items.add(
        this._launcher.add({
          command: Command.create,
          args: { newNotebook: true },
          category: this._trans.__('Environments'),
          rank: SHOWN
        })
      );
    }
  }

  private _items = new DisposableSet();
}
