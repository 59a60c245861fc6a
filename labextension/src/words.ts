/** What is said to people: sentences, times, sizes. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IActor, IChanges, IEntry, IJob, IState, Tone } from './api';
import type { NotebookState } from './model';
import { NO_ANSWER, NO_ANSWER_OF_OURS, OTHER_VERSION } from './request';
import type { IProblem } from './resource';

export interface ISaid {
  readonly sentence: string;
  readonly tone: Tone;
}

/** "3 Nov 14:02", in local time; with the year where it is another. */
export function when(iso: string, now = new Date()): string {
  const at = new Date(iso);
  const two = (value: number): string => String(value).padStart(2, '0');
  const month = at.toLocaleString(undefined, { month: 'short' });
  const year = at.getFullYear() === now.getFullYear() ? '' : ` ${at.getFullYear()}`;
  return `${at.getDate()} ${month}${year} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

export function bytes(size: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && value < 10 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

export function seconds(left: number, trans: TranslationBundle): string {
  return left < 90
    ? trans._n('%1 second left', '%1 seconds left', Math.max(1, Math.round(left)))
    : trans._n('%1 minute left', '%1 minutes left', Math.round(left / 60));
}

/** The one sentence: in the chip, the status bar, the tooltip and at the head of the panel. */
export function said(state: NotebookState, trans: TranslationBundle): ISaid {
  switch (state.kind) {
    case 'loading':
      return { sentence: trans.__('Looking …'), tone: 'none' };
    case 'absent':
      return state.recorded
        ? { sentence: trans.__('Recorded in “%1”', state.recorded.environment), tone: 'none' }
        : { sentence: trans.__('No venvoy on this server'), tone: 'none' };
    case 'forbidden':
      return { sentence: trans.__('You may not see environments here'), tone: 'none' };
    case 'failed':
      return { sentence: trans.__('The environment could not be read'), tone: 'error' };
    case 'ready':
      return { sentence: sentence(state.notebook.state, trans), tone: state.notebook.state.tone };
  }
}

function sentence(state: IState, trans: TranslationBundle): string {
  switch (state.kind) {
    case 'matches':
      return state.frozen ? trans.__('Matches the freeze of %1', when(state.frozen)) : state.sentence;
    case 'changed':
      return state.count > 0
        ? trans._n('%1 package changed since', '%1 packages changed since', state.count)
        : state.sentence;
    case 'never-frozen':
      return trans.__('Never frozen');
    case 'unmanaged':
      return trans.__('Not managed by venvoy');
    case 'restart':
      return restart(state, trans);
    default:
      return state.sentence.replace(/\.$/, '');
  }
}

function restart(state: IState, trans: TranslationBundle): string {
  const modules = state.restart?.modules ?? [];
  if (modules.length > 1) {
    return trans.__('Restart needed: %1 packages are loaded that are installed otherwise', modules.length);
  }
  if (modules.length === 0) {
    return state.sentence.replace(/\.$/, '');
  }
  const { package: name, loaded, installed } = modules[0];
  return installed === null
    ? trans.__('Restart needed: %1 is loaded, and no longer installed', name)
    : trans.__('Restart needed: %1 %2 is loaded, %3 is installed', name, loaded ?? '', installed);
}

/** A command as people write it: without the path of the interpreter that ran it. */
export function spoken(command: string): string {
  return command.replace(/^\S*\/python[\d.]* -m /, '');
}

export function who(actor: IActor, trans: TranslationBundle): string {
  switch (actor.kind) {
    case 'cell':
      return inNotebook(actor.count ? trans.__('cell [%1]', actor.count) : trans.__('a cell'), actor, trans);
    case 'command':
      return actor.command ? actor.command.split(' ').slice(0, 2).join(' ') : trans.__('a command');
    case 'terminal':
      return trans.__('a terminal');
    case 'sidebar':
      return trans.__('the sidebar');
  }
}

function inNotebook(cell: string, actor: IActor, trans: TranslationBundle): string {
  const name = actor.notebook?.split('/').pop();
  return name ? trans.__('%1 of %2', cell, name) : cell;
}

export function what(entry: IEntry, trans: TranslationBundle): string {
  switch (entry.event) {
    case 'freeze':
      return trans.__('Frozen');
    case 'import':
      return trans.__('Made from an archive');
    case 'undo':
      return trans.__('Taken back');
    case 'asked':
      return trans.__('Asked for what was there');
    case 'change':
      return trans.__('Changed');
  }
}

type Packages = Pick<IChanges, 'added' | 'removed' | 'changed'>;

/** The names of what changed: "+ six 1.16", "− attrs", "~ numpy 1.26 → 2.1"; what stands below the packages first. */
export function lines(changes: IChanges, trans: TranslationBundle): readonly string[] {
  const { interpreter, base } = changes;
  const step = (before: string, after: string): string => `${before} → ${after}`;
  return [
    ...(interpreter ? [trans.__('~ interpreter %1', interpreter.join(' → '))] : []),
    ...(base?.facts ?? []).map(each =>
      trans.__('~ image: %1 %2', each.name, step(each.before ?? '–', each.after ?? '–'))
    ),
    ...(base ? packages(base).map(line => trans.__('%1 (image)', line)) : []),
    ...packages(changes)
  ];
}

function packages({ added, removed, changed }: Packages): readonly string[] {
  return [
    ...added.map(each => `+ ${each.name} ${each.version}`),
    ...removed.map(each => `− ${each.name} ${each.version}`),
    ...changed.map(each => `~ ${each.name} ${each.before} → ${each.after}`)
  ];
}

/** What went wrong, also where the server had no words for it. */
export function wrong(problem: IProblem, trans: TranslationBundle): string {
  switch (problem.status) {
    case NO_ANSWER:
      return trans.__('The Jupyter server does not answer.');
    case NO_ANSWER_OF_OURS:
      return trans.__('The server answered with something that venvoy does not know.');
    case OTHER_VERSION:
      return trans.__('venvoy on the server has another version than this page: load it anew.');
    default:
      return problem.message;
  }
}

/** How long a job took; its times are told to the second. */
export function took(job: IJob): string {
  const milliseconds = job.ended === null ? 0 : Date.parse(job.ended) - Date.parse(job.started);
  return milliseconds < 90_000
    ? `${Math.max(1, Math.round(milliseconds / 1000))} s`
    : `${Math.round(milliseconds / 60_000)} min`;
}

/** How far a job has come, in words. */
export function progress(job: IJob, trans: TranslationBundle): string {
  const parts: string[] = [];
  if (job.phase) {
    parts.push(job.phase);
  }
  if (job.done !== null && job.total) {
    parts.push(
      job.unit === 'bytes'
        ? trans.__('%1 of %2', bytes(job.done), bytes(job.total))
        : trans.__('%1 of %2 %3', job.done, job.total, job.unit ?? '').trim()
    );
  }
  if (job.rate && job.unit === 'bytes') {
    parts.push(trans.__('%1/s', bytes(job.rate)));
  }
  if (job.remaining !== null) {
    parts.push(seconds(job.remaining, trans));
  }
  return parts.join(' · ') || job.message;
}

export function verbName(verb: string, trans: TranslationBundle): string {
  switch (verb) {
    case 'freeze':
      return trans.__('Freeze');
    case 'export':
      return trans.__('Export');
    case 'archive':
      return trans.__('Archive');
    case 'import':
      return trans.__('Import');
    case 'restore':
      return trans.__('Go back');
    case 'make':
      return trans.__('Restore');
    case 'undo':
      return trans.__('Undo');
    case 'verify':
      return trans.__('Verify');
    case 'repair':
      return trans.__('Repair');
    case 'init':
      return trans.__('Create');
    case 'install':
      return trans.__('Install');
    case 'remove':
      return trans.__('Remove');
    case 'configure':
      return trans.__('Settings');
    default:
      return verb;
  }
}
