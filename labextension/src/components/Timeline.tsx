import React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDiff, IEntry, IHistory } from '../api';
import { MOST_ENTRIES } from '../model';
import type { IProblem, Loadable } from '../resource';
import { problemOf } from '../resource';
import { lines, spoken, what, when, who } from '../words';
import { Note, Problem, Stale } from './Problem';

export interface ITimelineProps {
  readonly history: Loadable<IHistory>;
  readonly mayChange: boolean;
  readonly trans: TranslationBundle;
  readonly onCompare: (from: string, to: string) => Promise<IDiff>;
  readonly onGoBack: (index: number) => void;
  readonly onEarlier: () => void;
  readonly onRetry: () => void;
}

/** What happened, the latest first; any two states to be compared, and each to be gone back to. */
export function Timeline(props: ITimelineProps): JSX.Element {
  const { history, trans } = props;
  switch (history.kind) {
    case 'idle':
      return <Note>{trans.__('There is no record to show.')}</Note>;
    case 'loading':
      return (
        <p className="vv-Note" role="status">
          {trans.__('Reading the record …')}
        </p>
      );
    case 'failed':
      return <Problem problem={history.problem} trans={trans} onRetry={props.onRetry} />;
    case 'ready':
      return (
        <>
          <Stale problem={history.stale} trans={trans} onRetry={props.onRetry} />
          {history.value.entries.length === 0 ? (
            <Note>{trans.__('Nothing has happened yet. Whatever is installed is written down here.')}</Note>
          ) : (
            <Entries {...props} value={history.value} />
          )}
        </>
      );
  }
}

function Entries(props: ITimelineProps & { value: IHistory }): JSX.Element {
  const { value, trans } = props;
  const entries = [...value.entries].reverse();
  const newest = entries[0].index;
  return (
    <>
      <Compare {...props} entries={entries} />
      <ol className="vv-Entries" aria-label={trans.__('Changes, the latest first')}>
        {entries.map(entry => (
          <Entry key={entry.index} {...props} entry={entry} latest={entry.index === newest} />
        ))}
      </ol>
      {entries.length < Math.min(value.total, MOST_ENTRIES) && (
        <button type="button" className="vv-Link" onClick={props.onEarlier}>
          {trans.__('Show earlier ones')}
        </button>
      )}
      {entries.length >= MOST_ENTRIES && entries.length < value.total && (
        <Note>{trans.__('All of them: venvoy history %1', value.environment)}</Note>
      )}
    </>
  );
}

function Entry(props: ITimelineProps & { entry: IEntry; latest: boolean }): JSX.Element {
  const { entry, trans } = props;
  const { added, removed, changed } = entry.changes;
  const changes = lines(entry.changes, trans);
  return (
    <li className={`vv-Entry vv-mod-${entry.event}`}>
      <div className="vv-Row">
        <span className="vv-Grow vv-Ellipsis">
          <strong>#{entry.index}</strong> {what(entry, trans)}
          {changes.length > 0 && (
            <span className="vv-Counts">
              {added.length > 0 && <span title={trans.__('added')}> +{added.length}</span>}
              {removed.length > 0 && <span title={trans.__('removed')}> −{removed.length}</span>}
              {changed.length > 0 && <span title={trans.__('changed')}> ~{changed.length}</span>}
            </span>
          )}
        </span>
        {!props.latest && (
          <button
            type="button"
            className="vv-Link"
            disabled={!props.mayChange}
            aria-label={trans.__('Go back to #%1…', entry.index)}
            onClick={() => props.onGoBack(entry.index)}
          >
            {trans.__('Go back…')}
          </button>
        )}
      </div>
      <div className="vv-Muted">
        {when(entry.at)} ·{' '}
        <span title={entry.actor.command ?? entry.actor.notebook}>{who(entry.actor, trans)}</span>
      </div>
      {entry.asked.map(each => (
        <div key={each.command} className="vv-Muted vv-Code">
          {spoken(each.command)}
        </div>
      ))}
      {changes.length > 0 && (
        <details>
          <summary className="vv-Ellipsis">{changes.slice(0, 3).join(', ')}</summary>
          <ul className="vv-Changes">
            {changes.map(line => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </details>
      )}
    </li>
  );
}

type Comparison =
  | { readonly kind: 'none' }
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly problem: IProblem }
  | { readonly kind: 'ready'; readonly diff: IDiff };

function Compare(props: ITimelineProps & { value: IHistory; entries: readonly IEntry[] }): JSX.Element {
  const { entries, trans } = props;
  const neverFrozen =
    entries.length === props.value.total && !entries.some(each => ['freeze', 'import'].includes(each.event));
  const [chosen, setFrom] = React.useState<string | null>(null);
  const [to, setTo] = React.useState('now');
  const from = chosen ?? (neverFrozen ? String(entries[entries.length - 1].index) : 'freeze');
  const [compared, setCompared] = React.useState<Comparison>({ kind: 'none' });
  const compare = (): void => {
    setCompared({ kind: 'loading' });
    props.onCompare(from, to).then(
      diff => setCompared({ kind: 'ready', diff }),
      (error: unknown) => setCompared({ kind: 'failed', problem: problemOf(error) })
    );
  };
  const points = [
    ['now', trans.__('now')],
    ...(neverFrozen ? [] : [['freeze', trans.__('the freeze')]]),
    ...entries.map(each => [String(each.index), `#${each.index} ${when(each.at)}`])
  ];
  const select = (label: string, value: string, set: (value: string) => void): JSX.Element => (
    <select
      className="vv-Select"
      aria-label={label}
      value={value}
      onChange={event => set(event.target.value)}
    >
      {points.map(([name, words]) => (
        <option key={name} value={name}>
          {words}
        </option>
      ))}
    </select>
  );
  return (
    <div className="vv-Compare">
      <div className="vv-Row">
        {select(trans.__('Compare from'), from, setFrom)}
        <span aria-hidden="true">→</span>
        {select(trans.__('Compare to'), to, setTo)}
      </div>
      <button type="button" className="vv-Button" onClick={compare}>
        {trans.__('Compare')}
      </button>
      <div aria-live="polite">
        <Compared compared={compared} trans={trans} />
      </div>
    </div>
  );
}

function Compared(props: { compared: Comparison; trans: TranslationBundle }): JSX.Element | null {
  const { compared, trans } = props;
  switch (compared.kind) {
    case 'none':
      return null;
    case 'loading':
      return <Note>{trans.__('Comparing …')}</Note>;
    case 'failed':
      return <Problem problem={compared.problem} trans={trans} />;
    case 'ready': {
      const changes = lines(compared.diff.changes, trans);
      return (
        <div className="vv-Compared">
          <div className="vv-Muted">
            {compared.diff.from.label} → {compared.diff.to.label}
          </div>
          {changes.length === 0 ? (
            <Note>{trans.__('The same packages.')}</Note>
          ) : (
            <ul className="vv-Changes">
              {changes.map(line => (
                <li key={line}>{line}</li>
              ))}
            </ul>
          )}
        </div>
      );
    }
  }
}
