import React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import { type IJob, type ILog, hasEnded } from '../api';
import { isObject } from '../request';
import { problemOf } from '../resource';
import { bytes, progress, took, verbName, wrong } from '../words';

export interface IJobsProps {
  readonly jobs: readonly IJob[];
  /** The environment that is shown: jobs of others say whose they are. */
  readonly environment: string | null;
  readonly trans: TranslationBundle;
  readonly onCancel: (id: string) => void;
  readonly onForget: (id: string) => void;
  readonly onCopy: (text: string) => void;
  readonly onDownload: (job: IJob) => void;
  readonly readLog: (id: string, offset: number) => Promise<ILog>;
}

/** What goes on in this environment, and how the last ones ended. */
export function Jobs(props: IJobsProps): JSX.Element | null {
  const { jobs, trans } = props;
  return jobs.length === 0 ? null : (
    <ul className="vv-Jobs" aria-label={trans.__('Jobs')}>
      {jobs.map(job => (
        <Job key={job.id} {...props} job={job} />
      ))}
    </ul>
  );
}

function Job(props: IJobsProps & { job: IJob }): JSX.Element {
  const { job, trans } = props;
  const { command, magic } = job;
  const ended = hasEnded(job);
  return (
    <li className={`vv-Job vv-mod-${job.state}`}>
      <div className="vv-Row">
        <span className="vv-Grow vv-Ellipsis">
          <strong>{verbName(job.verb, trans)}</strong>
          {job.environment !== null && job.environment !== props.environment && ` · ${job.environment}`}
        </span>
        {!ended && job.cancellable && (
          <button
            type="button"
            className="vv-Link"
            disabled={job.state === 'cancelling'}
            onClick={() => props.onCancel(job.id)}
          >
            {job.state === 'cancelling' ? trans.__('Cancelling …') : trans.__('Cancel')}
          </button>
        )}
        {ended && (
          <button
            type="button"
            className="vv-Link"
            aria-label={trans.__('Remove from the list: %1', verbName(job.verb, trans))}
            onClick={() => props.onForget(job.id)}
          >
            {trans.__('Remove')}
          </button>
        )}
      </div>
      {!ended && <Bar job={job} trans={trans} />}
      <div className="vv-Muted">{ended ? outcome(job, trans) : progress(job, trans)}</div>
      {/* aloud are said the phases and the end, and not each number in between */}
      <div className="vv-Aloud" role="status">
        {ended ? outcome(job, trans) : (job.phase ?? verbName(job.verb, trans))}
      </div>
      {job.error?.hint && <pre className="vv-Hint">{job.error.hint}</pre>}
      {job.verb === 'verify' && job.result && <Levels result={job.result} trans={trans} />}
      <div className="vv-Buttons">
        {job.file && (
          <button type="button" className="vv-Button" onClick={() => props.onDownload(job)}>
            {trans.__('Download %1 (%2)', job.file.name, bytes(job.file.size))}
          </button>
        )}
        {command && (
          <button type="button" className="vv-Link" title={command} onClick={() => props.onCopy(command)}>
            {trans.__('Copy as command')}
          </button>
        )}
        {magic && (
          <button type="button" className="vv-Link" title={magic} onClick={() => props.onCopy(magic)}>
            {trans.__('Copy as magic')}
          </button>
        )}
      </div>
      <Log {...props} />
    </li>
  );
}

function Bar(props: { job: IJob; trans: TranslationBundle }): JSX.Element {
  const { job, trans } = props;
  const known = job.done !== null && job.total ? { value: job.done, max: job.total } : {};
  return (
    <progress
      className="vv-Progress"
      aria-label={trans.__('Progress of: %1', verbName(job.verb, trans))}
      {...known}
    />
  );
}

function Log(props: IJobsProps & { job: IJob }): JSX.Element {
  const { job, trans, readLog } = props;
  const [open, setOpen] = React.useState(false);
  const [text, setText] = React.useState<string | null>(null);
  const [problem, setProblem] = React.useState<string | null>(null);
  const offset = React.useRef(0);
  const latest = React.useRef(job.seq);
  const reading = React.useRef(false);
  React.useEffect(() => {
    latest.current = job.seq;
    // one reader at a time: what is said while it reads is read by it afterwards
    if (!open || reading.current) {
      return;
    }
    const read = async (): Promise<void> => {
      reading.current = true;
      try {
        let upTo: number;
        do {
          upTo = latest.current;
          const { text: more, offset: end } = await readLog(job.id, offset.current);
          offset.current = end;
          setText(before => (before ?? '') + more);
        } while (upTo !== latest.current);
        setProblem(null);
      } catch (error) {
        setProblem(wrong(problemOf(error), trans));
      } finally {
        reading.current = false;
      }
    };
    void read();
  }, [open, job.id, job.seq, readLog, trans]);
  return (
    <details className="vv-Log" onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>{trans.__('Log')}</summary>
      <pre tabIndex={0} aria-label={trans.__('Log of: %1', verbName(job.verb, trans))}>
        {text === null ? (problem ?? trans.__('Reading …')) : text || trans.__('It has said nothing.')}
      </pre>
      {text !== null && problem !== null && <p className="vv-Note">{problem}</p>}
    </details>
  );
}

function Levels(props: { result: Record<string, unknown>; trans: TranslationBundle }): JSX.Element {
  const { result, trans } = props;
  const levels = (Array.isArray(result.levels) ? result.levels : []).filter(isObject);
  const deviations = (Array.isArray(result.deviations) ? result.deviations : []).filter(isObject);
  return (
    <div className="vv-Levels">
      <div>
        {typeof result.reached === 'string'
          ? trans.__('Level %1 is reached.', result.reached)
          : trans.__('No level is reached.')}
      </div>
      <ul className="vv-Changes">
        {levels.map(level => (
          <li key={String(level.level)}>
            {level.holds === true ? '✓' : level.holds === false ? '✕' : '○'} {String(level.level)}{' '}
            {String(level.claim)}
            {level.holds === null && level.skipped
              ? ` (${trans.__('not checked: %1', String(level.skipped))})`
              : ''}
          </li>
        ))}
        {deviations.slice(0, 50).map(each => (
          <li key={`${String(each.level)}-${String(each.what)}`}>
            {String(each.level)}: {String(each.what)}
          </li>
        ))}
      </ul>
      {deviations.length > 50 && <div>{trans.__('and %1 more: see the log', deviations.length - 50)}</div>}
    </div>
  );
}

function outcome(job: IJob, trans: TranslationBundle): string {
  switch (job.state) {
    case 'succeeded':
      return trans.__('Done in %1.', took(job));
    case 'cancelled':
      return trans.__('Cancelled; nothing was left half done.');
    case 'lost':
      return (
        job.error?.message || trans.__('It ended without a word: its process was ended, or is out of reach.')
      );
    default:
      return job.error?.message ?? job.message;
  }
}
