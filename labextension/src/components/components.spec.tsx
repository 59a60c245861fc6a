import { nullTranslator } from '@jupyterlab/translation';
import React, { act } from 'react';
import { type Root, createRoot } from 'react-dom/client';
import type { IEntry, IGlance, IHistory, IJob, ILog, INotebook, IPackages, IState } from '../api';
import type { NotebookState } from '../model';
import { lines, spoken } from '../words';
import { Header, type IHeaderProps } from './Header';
import { Jobs } from './Jobs';
import { KeptFocus } from './KeptFocus';
import { Packages } from './Packages';
import { Picker, choices } from './Picker';
import { Timeline } from './Timeline';

const trans = nullTranslator.load('venvoy');
const nothing = (): void => undefined;
const noLog: (id: string, offset: number) => Promise<ILog> = async () => ({ text: '', offset: 0, size: 0 });
let box: HTMLElement;
let root: Root;

beforeEach(() => {
  box = document.createElement('div');
  document.body.append(box);
  root = createRoot(box);
});

afterEach(() => {
  act(() => root.unmount());
  box.remove();
});

function draw(element: JSX.Element): string {
  act(() => root.render(element));
  return box.textContent ?? '';
}

function press(name: string): void {
  const found = [...box.querySelectorAll('button')].find(each => each.textContent === name);
  act(() => found?.click());
}

function type(input: HTMLInputElement, text: string): void {
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set;
  act(() => {
    set?.call(input, text);
    input.dispatchEvent(new Event('input', { bubbles: true }));
  });
}

function header(state: NotebookState | null, more: Partial<IHeaderProps> = {}): JSX.Element {
  return (
    <Header
      state={state}
      notebook="work/a.ipynb"
      mayChange
      busy={false}
      pinned={false}
      trans={trans}
      onAction={nothing}
      onChange={nothing}
      onCreate={nothing}
      onPin={nothing}
      onRetry={nothing}
      {...more}
    />
  );
}

function ready(state: Partial<IState>): NotebookState {
  const whole = {
    kind: 'matches',
    sentence: '',
    tone: 'good',
    action: null,
    frozen: null,
    count: 0,
    restart: null
  };
  const environment = { environment: { name: 'study' }, read_only: false };
  const notebook = { state: { ...whole, ...state }, environment, recorded: null } as unknown as INotebook;
  return { kind: 'ready', notebook, stale: null };
}

describe('the head of the panel', () => {
  it('says one sentence and offers the one verb', () => {
    let asked = '';
    const state = ready({ kind: 'changed', count: 2, tone: 'notice', action: 'freeze' });

    const text = draw(header(state, { onAction: action => (asked = action) }));
    press('Freeze');

    expect(text).toContain('2 packages changed since');
    expect(asked).toBe('freeze');
  });

  it('names what is loaded and what is installed where a restart is needed', () => {
    const modules = [{ module: 'numpy', package: 'numpy', loaded: '1.26', installed: '2.1' }];
    const restart = { needed: true, replaced: false, python: null, modules };

    expect(draw(header(ready({ kind: 'restart', restart, action: 'restart' })))).toContain(
      'Restart needed: numpy 1.26 is loaded, 2.1 is installed'
    );
  });

  it('lets nothing be begun by who may only look', () => {
    draw(header(ready({ kind: 'never-frozen', action: 'freeze' }), { mayChange: false }));

    expect(box.textContent).toContain('You may look here, and change nothing.');
    expect(box.querySelector<HTMLButtonElement>('.vv-mod-primary')?.disabled).toBe(true);
  });

  it('has words of its own for no notebook, no server part, a failure and an old answer', () => {
    const recorded = { environment: 'study', snapshot: 'ab12cd34ef56aa', lock: 'pylock.toml' };

    expect(draw(header(null))).toContain('Open a notebook');
    const absent = draw(header({ kind: 'absent', recorded }));
    expect(absent).toContain('study');
    expect(absent).toContain('the server of this page does not run venvoy');
    const problem = { status: 500, message: 'its record cannot be read', hint: 'venvoy check study' };
    const failed = draw(header({ kind: 'failed', problem }));
    expect(failed).toContain('its record cannot be read');
    expect(failed).toContain('venvoy check study');
    const stale = { ...ready({}), stale: { status: 0, message: '', hint: null } } as NotebookState;
    expect(draw(header(stale))).toContain('this is what it said last');
  });
});

function listed(count: number): IPackages {
  const packages = Array.from({ length: count }, (_, index) => ({
    ecosystem: 'pypi',
    name: `package-${String(index).padStart(5, '0')}`,
    version: '1.0',
    origin: 'index',
    direct: index === 1,
    imported: index === 2,
    required_by: ['package-00001'],
    asked: null,
    badges: index === 3 ? (['changed'] as const) : [],
    before: index === 3 ? '0.9' : null,
    loaded: null,
    reason: null
  }));
  return { environment: 'study', packages, removed: [] };
}

describe('the list of packages', () => {
  const shown = (): string[] =>
    [...box.querySelectorAll('[role=option]')].map(each => each.textContent ?? '');

  it('has first what the notebook imports, then what was asked for, and rows for what is seen only', () => {
    draw(
      <Packages
        packages={{ kind: 'ready', value: listed(5000), stale: null }}
        trans={trans}
        onRetry={nothing}
      />
    );

    expect(shown()[0]).toContain('package-00002');
    expect(shown()[1]).toContain('package-00001');
    expect(shown().length).toBeLessThan(60);
    expect(box.querySelector('[role=option]')?.getAttribute('aria-setsize')).toBe('5000');
  });

  it('is filtered by a name or a badge, and says why a package is there', () => {
    draw(
      <Packages
        packages={{ kind: 'ready', value: listed(50), stale: null }}
        trans={trans}
        onRetry={nothing}
      />
    );

    type(box.querySelector('input') as HTMLInputElement, 'changed');

    expect(shown()).toHaveLength(1);
    expect(box.textContent).toContain('Version 0.9 was frozen.');
    expect(box.textContent).toContain('Needed by package-00001.');
  });

  it('is walked through with the keys', () => {
    draw(
      <Packages
        packages={{ kind: 'ready', value: listed(50), stale: null }}
        trans={trans}
        onRetry={nothing}
      />
    );
    const list = box.querySelector('[role=listbox]') as HTMLElement;

    act(() => {
      list.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true }));
    });

    const active = document.getElementById(list.getAttribute('aria-activedescendant') ?? '');
    expect(active?.textContent).toContain('package-00001');
    expect(active?.getAttribute('aria-selected')).toBe('true');
  });
});

describe('a list that could not be fetched again', () => {
  it('stays, says so, and offers to ask anew', () => {
    const asked: string[] = [];
    const problem = { status: 502, message: 'no network.', hint: null };

    const text = draw(
      <Packages
        packages={{ kind: 'ready', value: listed(3), stale: problem }}
        trans={trans}
        onRetry={() => asked.push('again')}
      />
    );
    press('Try again');

    expect(text).toContain('no network. This is what was known before.');
    expect(text).toContain('package-00001');
    expect(asked).toEqual(['again']);
  });
});

describe('a command', () => {
  it('is said as people write it', () => {
    expect(spoken('/home/ada/.venvoy/environments/study/prefix/bin/python3.12 -m pip install six')).toBe(
      'pip install six'
    );
    expect(spoken('conda install numpy')).toBe('conda install numpy');
  });
});

describe('the timeline', () => {
  const changes = {
    added: [],
    removed: [],
    changed: [{ name: 'six', before: '1.0', after: '1.1' }],
    interpreter: null,
    base: null
  };
  const entry = (index: number): IEntry => ({
    index,
    at: '2026-11-03T14:02:00Z',
    event: 'change',
    actor: { kind: 'cell', count: index },
    asked: [],
    snapshot: 'ab',
    changes
  });
  const value: IHistory = { environment: 'study', total: 9, entries: [entry(8), entry(9)] };

  it('has the latest first, offers to go back to the others, and compares', async () => {
    const asked: unknown[] = [];
    const diff = { from: { label: 'a', index: 8 }, to: { label: 'now', index: null }, changes };
    draw(
      <Timeline
        history={{ kind: 'ready', value, stale: null }}
        mayChange
        trans={trans}
        onCompare={async (from, to) => {
          asked.push([from, to]);
          return diff;
        }}
        onGoBack={index => asked.push(index)}
        onEarlier={() => asked.push('earlier')}
        onRetry={nothing}
      />
    );
    const items = [...box.querySelectorAll('.vv-Entry')].map(each => each.textContent ?? '');
    expect(items[0]).toContain('#9');
    expect(items[0]).not.toContain('Go back');

    press('Go back…');
    press('Show earlier ones');
    await act(async () => press('Compare'));

    expect(asked).toEqual([8, 'earlier', ['freeze', 'now']]);
    expect(box.querySelector('.vv-Compared')?.textContent).toContain('~ six 1.0 → 1.1');
  });
});

describe('what changed', () => {
  it('names the interpreter and the image, too', () => {
    const image = {
      facts: [{ name: 'digest', before: 'aa', after: 'bb' }],
      added: [],
      removed: [],
      changed: [{ name: 'libc6', before: '2.35', after: '2.36' }]
    };
    const whole = { added: [], removed: [], changed: [], interpreter: ['3.11', '3.12'], base: image };

    expect(lines(whole, trans)).toEqual([
      '~ interpreter 3.11 → 3.12',
      '~ image: digest aa → bb',
      '~ libc6 2.35 → 2.36 (image)'
    ]);
  });
});

describe('jobs', () => {
  const job = (more: Partial<IJob>): IJob => ({
    id: 'a',
    seq: 1,
    verb: 'restore',
    environment: 'study',
    command: 'venvoy restore study --to 3',
    magic: '%env-restore 3',
    origin: 'sidebar',
    state: 'running',
    phase: 'Downloading',
    done: 5_000_000,
    total: 20_000_000,
    unit: 'bytes',
    rate: 1_000_000,
    remaining: 15,
    message: '',
    started: '',
    ended: null,
    cancellable: true,
    error: null,
    file: null,
    ...more
  });
  const list = (one: IJob, cancelled: string[] = [], readLog = noLog): JSX.Element => (
    <Jobs
      jobs={[one]}
      environment="study"
      trans={trans}
      onCancel={id => cancelled.push(id)}
      onForget={nothing}
      onCopy={nothing}
      onDownload={nothing}
      readLog={readLog}
    />
  );

  /** Draw a job with that log, and open it; what is given draws it anew as it stood later. */
  const opened = async (readLog: typeof noLog): Promise<(seq: number) => Promise<void>> => {
    draw(list(job({ seq: 1 }), [], readLog));
    const log = box.querySelector('details') as HTMLDetailsElement;
    await act(async () => {
      log.open = true;
      log.dispatchEvent(new Event('toggle'));
    });
    return seq => act(async () => root.render(list(job({ seq }), [], readLog)));
  };

  it('say how far they are, and are cancelled', () => {
    const cancelled: string[] = [];

    const text = draw(list(job({}), cancelled));
    press('Cancel');

    expect(text).toContain('Downloading · 5.0 MB of 20 MB · 1.0 MB/s · 15 seconds left');
    expect(box.querySelector('progress')?.getAttribute('value')).toBe('5000000');
    expect(cancelled).toEqual(['a']);
  });

  it('that verified say which level was reached and what was not checked', () => {
    const levels = [
      { level: 'L0', claim: 'integrity', holds: true, skipped: null },
      { level: 'L3', claim: 'rebuild', holds: null, skipped: 'not asked for' }
    ];
    const result = { reached: 'L0', levels, deviations: [] };

    const text = draw(list(job({ verb: 'verify', state: 'succeeded', result })));

    expect(text).toContain('Level L0 is reached.');
    expect(text).toContain('not checked: not asked for');
  });

  it('of another environment say whose they are', () => {
    expect(draw(list(job({ environment: 'other' })))).toContain('Go back · other');
    expect(draw(list(job({})))).not.toContain('study');
  });

  it('have a log that grows', async () => {
    const asked: number[] = [];
    const readLog = async (_id: string, offset: number): Promise<ILog> => {
      asked.push(offset);
      return { text: `line ${offset}\n`, offset: offset + 1, size: offset + 1 };
    };
    const later = await opened(readLog);

    await later(2);

    expect(asked).toEqual([0, 1]);
    expect(box.querySelector('details pre')?.textContent).toBe('line 0\nline 1\n');
  });

  it('have a log that is read by one reader at a time, and to its end', async () => {
    const answers: (() => void)[] = [];
    const asked: number[] = [];
    const readLog = (_id: string, offset: number): Promise<ILog> => {
      asked.push(offset);
      return new Promise(done => {
        answers.push(() => done({ text: `line ${offset}\n`, offset: offset + 1, size: offset + 1 }));
      });
    };
    const later = await opened(readLog);

    await later(2);
    await later(3);
    expect(asked).toEqual([0]);
    await act(async () => answers[0]());
    await act(async () => answers[1]());

    expect(asked).toEqual([0, 1]);
    expect(box.querySelector('details pre')?.textContent).toBe('line 0\nline 1\n');
  });

  it('that failed say what mends it', () => {
    const error = { kind: 'Busy', message: 'another process is at work', hint: 'wait for it' };

    const text = draw(list(job({ state: 'failed', error })));

    expect(text).toContain('another process is at work');
    expect(text).toContain('wait for it');
  });
});

describe('choosing an environment', () => {
  const glance = (name: string, more: Partial<IGlance> = {}): IGlance => ({
    name,
    environment: null,
    package_count: 3,
    state: 'frozen',
    kernel: `venvoy-${name}`,
    problem: null,
    ...more
  });
  const here = { notebook: '/x', path: 'work/b.ipynb', running: false };
  const all = choices(
    [
      glance('old'),
      glance('lately', { used: '2026-11-03T14:02:00Z' }),
      glance('near', { notebooks: [here] }),
      glance('own')
    ],
    { path: 'work/a.ipynb', recorded: 'own' }
  );

  it('begins with what the notebook says, then what its folder uses, then the latest', () => {
    expect(all.map(each => [each.group, each.glance?.name])).toEqual([
      ['recorded', 'own'],
      ['folder', 'near'],
      ['recent', 'lately'],
      ['other', 'old'],
      ['new', undefined]
    ]);
  });

  it('is done by typing and Enter', () => {
    let chosen: string | undefined;
    draw(
      <Picker
        choices={all}
        current="own"
        trans={trans}
        onSelect={choice => (chosen = choice.glance?.name)}
        onChoose={nothing}
      />
    );

    type(box.querySelector('input') as HTMLInputElement, 'lat');

    expect(chosen).toBe('lately');
  });
});

describe('the focus', () => {
  const kept = (button: JSX.Element | null): JSX.Element => (
    <KeptFocus home={box}>
      {button}
      <input />
    </KeptFocus>
  );

  beforeEach(() => {
    box.tabIndex = -1;
    draw(kept(<button type="button" />));
  });

  it.each([
    ['off', <button key="off" type="button" disabled />],
    ['gone', null]
  ])('stays where it was when the button that had it is %s', (_how, button) => {
    box.querySelector('button')?.focus();
    draw(kept(button));

    expect(document.activeElement).toBe(box);
  });

  it('is left to what else has it', () => {
    box.querySelector('input')?.focus();
    draw(kept(null));

    expect(document.activeElement).toBe(box.querySelector('input'));
  });

  it('is not taken from elsewhere', () => {
    (document.activeElement as HTMLElement).blur();
    draw(kept(null));

    expect(document.activeElement).toBe(document.body);
  });
});
