import React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import { NO_ANSWER } from '../request';
import type { IProblem } from '../resource';
import { wrong } from '../words';

/** What went wrong, what mends it, and a way to try again. */
export function Problem(props: {
  problem: IProblem;
  trans: TranslationBundle;
  onRetry?: () => void;
}): JSX.Element {
  const { problem, trans, onRetry } = props;
  return (
    <div className="vv-Problem" role="alert">
      <p>{wrong(problem, trans)}</p>
      {problem.hint && <pre className="vv-Hint">{problem.hint}</pre>}
      {onRetry && (
        <button type="button" className="vv-Button" onClick={onRetry}>
          {trans.__('Try again')}
        </button>
      )}
    </div>
  );
}

export function Note(props: { children: React.ReactNode }): JSX.Element {
  return <p className="vv-Note">{props.children}</p>;
}

/** What is shown is old: why, and a way to ask anew. */
export function Stale(props: {
  problem: IProblem | null;
  trans: TranslationBundle;
  onRetry: () => void;
}): JSX.Element | null {
  const { problem, trans, onRetry } = props;
  return (
    problem && (
      <p className="vv-Stale" role="alert">
        {problem.status === NO_ANSWER
          ? trans.__('The server does not answer; this is what it said last.')
          : trans.__('%1 This is what was known before.', wrong(problem, trans))}{' '}
        <button type="button" className="vv-Link" onClick={onRetry}>
          {trans.__('Try again')}
        </button>
      </p>
    )
  );
}
