import React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { StateAction } from '../api';
import type { NotebookState } from '../model';
import { said } from '../words';
import { Note, Problem, Stale } from './Problem';
import { Sentence } from './Sentence';

export interface IHeaderProps {
  /** null: no notebook is in front. */
  readonly state: NotebookState | null;
  readonly notebook: string;
  readonly mayChange: boolean;
  readonly busy: boolean;
  readonly pinned: boolean;
  readonly trans: TranslationBundle;
  readonly onAction: (action: StateAction) => void;
  readonly onChange: () => void;
  readonly onCreate: () => void;
  readonly onPin: () => void;
  readonly onRetry: () => void;
}

/** The notebook, its environment, one sentence and the one verb that goes with it. */
export function Header(props: IHeaderProps): JSX.Element {
  const { state, trans } = props;
  if (state === null) {
    return (
      <div className="vv-Header">
        <Note>{trans.__('Open a notebook to see the environment that it runs in.')}</Note>
        <button type="button" className="vv-Button" onClick={props.onCreate} disabled={!props.mayChange}>
          {trans.__('New environment…')}
        </button>
      </div>
    );
  }
  return (
    <div className="vv-Header" aria-busy={state.kind === 'loading'}>
      <div className="vv-Row">
        <span className="vv-Muted vv-Ellipsis" title={props.notebook}>
          {props.notebook.split('/').pop()}
        </span>
        <button
          type="button"
          className="vv-Link"
          aria-pressed={props.pinned}
          title={trans.__('Keep showing this notebook when another one comes to the front')}
          onClick={props.onPin}
        >
          {props.pinned ? trans.__('Pinned') : trans.__('Pin')}
        </button>
      </div>
      <State {...props} state={state} />
    </div>
  );
}

function State(props: IHeaderProps & { state: NotebookState }): JSX.Element {
  const { state, trans } = props;
  const { sentence, tone } = said(state, trans);
  switch (state.kind) {
    case 'loading':
      return (
        <p className="vv-State" role="status">
          {sentence}
        </p>
      );
    case 'forbidden':
      return (
        <Note>
          {trans.__('This server does not let you see environments. Whoever runs it can permit it.')}
        </Note>
      );
    case 'failed':
      return <Problem problem={state.problem} trans={trans} onRetry={props.onRetry} />;
    case 'absent':
      return <Absent state={state} trans={trans} />;
    case 'ready':
      return (
        <>
          {state.notebook.environment && (
            <h2 className="vv-Name">{state.notebook.environment.environment.name}</h2>
          )}
          <p className="vv-State" role="status">
            <Sentence sentence={sentence} tone={tone} />
          </p>
          <Stale problem={state.stale} trans={trans} onRetry={props.onRetry} />
          {state.notebook.environment?.environment.record === false && (
            <Note>{trans.__('Changes are not recorded by themselves: see Details.')}</Note>
          )}
          {state.notebook.environment?.read_only && (
            <Note>{trans.__('Read-only: venvoy installs nothing into this environment.')}</Note>
          )}
          {!props.mayChange && <Note>{trans.__('You may look here, and change nothing.')}</Note>}
          <Verbs {...props} action={state.notebook.state.action} />
        </>
      );
  }
}

function Absent(props: { state: NotebookState & { kind: 'absent' }; trans: TranslationBundle }): JSX.Element {
  const { trans } = props;
  const { recorded } = props.state;
  return (
    <>
      {recorded ? (
        <dl className="vv-Facts">
          <dt>{trans.__('Last run in')}</dt>
          <dd>{recorded.environment}</dd>
          {recorded.snapshot && (
            <>
              <dt>{trans.__('State')}</dt>
              <dd className="vv-Code">{recorded.snapshot.slice(0, 12)}</dd>
            </>
          )}
          {recorded.lock && (
            <>
              <dt>{trans.__('Lock')}</dt>
              <dd className="vv-Code">{recorded.lock}</dd>
            </>
          )}
        </dl>
      ) : (
        <Note>{trans.__('This notebook does not say in which environment it was run.')}</Note>
      )}
      <Note>
        {trans.__(
          'Nothing more is known: the server of this page does not run venvoy. Install it there with “pip install venvoy”.'
        )}
      </Note>
    </>
  );
}

function Verbs(props: IHeaderProps & { action: StateAction | null }): JSX.Element {
  const { action, trans } = props;
  const labels: Record<StateAction, string> = {
    freeze: trans.__('Freeze'),
    restore: trans.__('Restore'),
    restart: trans.__('Restart kernel'),
    repair: trans.__('Repair'),
    create: trans.__('New environment…')
  };
  return (
    <div className="vv-Buttons">
      {action && (
        <button
          type="button"
          className="vv-Button vv-mod-primary"
          disabled={props.busy || (!props.mayChange && action !== 'restart')}
          onClick={() => props.onAction(action)}
        >
          {labels[action]}
        </button>
      )}
      <button type="button" className="vv-Button" onClick={props.onChange}>
        {trans.__('Change environment…')}
      </button>
    </div>
  );
}
