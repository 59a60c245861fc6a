import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, caretDownEmptyIcon } from '@jupyterlab/ui-components';
import type { Widget } from '@lumino/widgets';
import React from 'react';
import { Chip } from './components/Sentence';
import type { NotebookModel } from './model';
import { said } from './words';

const NARROW = 720;

/** The sentence of one notebook's environment: in its toolbar, and in the status bar for the one that the panel shows. */
export class ChipWidget extends ReactWidget {
  constructor(
    private _trans: TranslationBundle,
    private _open: () => void,
    private _change: ((model: NotebookModel | null) => void) | null = null
  ) {
    super();
    this.addClass('vv-ChipWidget');
  }

  get model(): NotebookModel | null {
    return this._model;
  }

  set model(model: NotebookModel | null) {
    this._model?.changed.disconnect(this.update, this);
    this._model = model;
    model?.changed.connect(this.update, this);
    this.update();
  }

  /** Be the sign alone where the notebook is narrow: the toolbar would put the sentence away. */
  fitInto(panel: Widget): void {
    this._sized?.disconnect();
    this._sized = new ResizeObserver(() =>
      this.toggleClass('vv-mod-compact', panel.node.clientWidth < NARROW)
    );
    this._sized.observe(panel.node);
  }

  dispose(): void {
    this._sized?.disconnect();
    this._model?.changed.disconnect(this.update, this);
    super.dispose();
  }

  protected render(): JSX.Element | null {
    const state = this._model?.state;
    if (!state || (state.kind === 'absent' && state.recorded === null)) {
      return null;
    }
    const { sentence, tone } = said(state, this._trans);
    const name = this._model?.environment;
    const title = name ? this._trans.__('%1: %2', name, sentence) : sentence;
    return (
      <Chip
        sentence={sentence}
        tone={tone}
        title={title}
        label={this._trans.__('Environment %1', title)}
        onClick={this._open}
        change={
          this._change && {
            label: this._trans.__('Change environment…'),
            icon: <caretDownEmptyIcon.react tag="span" className="vv-Icon" />,
            run: () => this._change?.(this._model)
          }
        }
      />
    );
  }

  private _sized: ResizeObserver | null = null;
  private _model: NotebookModel | null = null;
}
