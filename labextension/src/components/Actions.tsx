import React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Note } from './Problem';

export interface IAction {
  readonly name: string;
  readonly label: string;
  readonly about: string;
  /** The same on a command line, and in a cell. */
  readonly command: string;
  readonly magic: string | null;
  readonly enabled: boolean;
  readonly run: () => void;
}

/** Everything that can be done, with the words that do the same elsewhere. */
export function Actions(props: {
  actions: readonly IAction[];
  trans: TranslationBundle;
  onCopy: (text: string) => void;
}): JSX.Element {
  const { actions, trans } = props;
  if (actions.length === 0) {
    return <Note>{trans.__('There is nothing to do without an environment.')}</Note>;
  }
  return (
    <ul className="vv-Actions">
      {actions.map(action => (
        <li key={action.name} className="vv-Row">
          <button
            type="button"
            className="vv-Button vv-Grow"
            title={action.about}
            disabled={!action.enabled}
            onClick={action.run}
          >
            {action.label}
          </button>
          <button
            type="button"
            className="vv-Link"
            title={action.command}
            aria-label={trans.__('%1: copy as command', action.label)}
            onClick={() => props.onCopy(action.command)}
          >
            {trans.__('CLI')}
          </button>
          {action.magic && (
            <button
              type="button"
              className="vv-Link"
              title={action.magic}
              aria-label={trans.__('%1: copy as magic', action.label)}
              onClick={() => props.onCopy(action.magic ?? '')}
            >
              {trans.__('Magic')}
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}
