import { Dialog, InputDialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import React from 'react';
import type { IAbout, IPlan } from './api';
import { type IChoice, Picker } from './components/Picker';
import { Plan } from './components/Plan';

export interface IExport {
  readonly format: string;
  /** "" to have it downloaded. */
  readonly file: string;
}

export interface INewEnvironment {
  readonly name: string;
  readonly python: string;
}

export const NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;

class PickerBody extends ReactWidget implements Dialog.IBodyWidget<IChoice | null> {
  constructor(
    private _choices: readonly IChoice[],
    private _current: string | null,
    private _trans: TranslationBundle
  ) {
    super();
  }

  getValue(): IChoice | null {
    return this._chosen;
  }

  protected render(): JSX.Element {
    return (
      <Picker
        choices={this._choices}
        current={this._current}
        trans={this._trans}
        onSelect={this._select}
        onChoose={choice => {
          this._chosen = choice;
          this.node.closest('.jp-Dialog')?.querySelector<HTMLElement>('.jp-mod-accept')?.click();
        }}
      />
    );
  }

  private _select = (choice: IChoice): void => {
    this._chosen = choice;
  };

  private _chosen: IChoice | null = null;
}

export async function chooseEnvironment(
  choices: readonly IChoice[],
  current: string | null,
  trans: TranslationBundle
): Promise<IChoice | null> {
  const result = await showDialog({
    title: trans.__('Change environment'),
    body: new PickerBody(choices, current, trans),
    focusNodeSelector: '.vv-Filter',
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Use') })]
  });
  return result.button.accept ? result.value : null;
}

class NewBody extends ReactWidget implements Dialog.IBodyWidget<INewEnvironment> {
  constructor(private _trans: TranslationBundle) {
    super();
  }

  getValue(): INewEnvironment {
    return { name: field(this.node, 'name'), python: field(this.node, 'python') };
  }

  protected render(): JSX.Element {
    return (
      <div className="vv-Form">
        <label>
          {this._trans.__('Name')}
          <input name="name" className="jp-mod-styled" required pattern={NAME.source} maxLength={64} />
        </label>
        <label>
          {this._trans.__('Python version')}
          <input name="python" className="jp-mod-styled" placeholder={this._trans.__('as venvoy itself')} />
        </label>
      </div>
    );
  }
}

function field(form: HTMLElement, name: string): string {
  const found = form.querySelector<HTMLInputElement | HTMLSelectElement>(`[name=${name}]`);
  return found?.value.trim() ?? '';
}

export async function nameNew(trans: TranslationBundle): Promise<INewEnvironment | null> {
  const result = await showDialog({
    title: trans.__('New environment'),
    body: new NewBody(trans),
    focusNodeSelector: 'input[name=name]',
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Create') })]
  });
  return result.button.accept ? result.value : null;
}

class PlanBody extends ReactWidget {
  constructor(
    private _plan: IPlan,
    private _trans: TranslationBundle
  ) {
    super();
  }

  protected render(): JSX.Element {
    return <Plan plan={this._plan} trans={this._trans} />;
  }
}

export async function approve(plan: IPlan, trans: TranslationBundle): Promise<boolean> {
  const result = await showDialog({
    title: trans.__('Go back?'),
    body: new PlanBody(plan, trans),
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Go back') })]
  });
  return result.button.accept;
}

class ExportBody extends ReactWidget implements Dialog.IBodyWidget<IExport> {
  constructor(
    private _about: IAbout,
    private _trans: TranslationBundle
  ) {
    super();
  }

  getValue(): IExport {
    return { format: field(this.node, 'format'), file: field(this.node, 'file') };
  }

  protected render(): JSX.Element {
    return (
      <div className="vv-Form">
        <label>
          {this._trans.__('Format')}
          <select name="format" className="jp-mod-styled">
            {this._about.formats.map(each => (
              <option key={each.name} value={each.name}>
                {`${each.name} (${each.filename})`}
              </option>
            ))}
          </select>
        </label>
        <label>
          {this._trans.__('File, from the top of the file browser')}
          <input
            name="file"
            className="jp-mod-styled"
            placeholder={this._trans.__('none: it is downloaded')}
          />
        </label>
      </div>
    );
  }
}

export async function chooseExport(about: IAbout, trans: TranslationBundle): Promise<IExport | null> {
  const result = await showDialog({
    title: trans.__('Export the environment'),
    body: new ExportBody(about, trans),
    focusNodeSelector: 'select[name=format]',
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Export') })]
  });
  return result.button.accept ? result.value : null;
}

export async function askText(title: string, label: string, text = ''): Promise<string | null> {
  const result = await InputDialog.getText({ title, label, text });
  return result.button.accept && result.value ? result.value.trim() : null;
}

export async function sure(title: string, body: string, label: string): Promise<boolean> {
  const result = await showDialog({
    title,
    body,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label })]
  });
  return result.button.accept;
}
