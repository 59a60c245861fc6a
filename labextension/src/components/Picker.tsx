import React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IGlance } from '../api';

export type Group = 'recorded' | 'folder' | 'recent' | 'other' | 'new';

export interface IChoice {
  readonly group: Group;
  /** null: make a new one. */
  readonly glance: IGlance | null;
}

const ORDER: readonly Group[] = ['recorded', 'folder', 'recent', 'other', 'new'];
const RECENT = 5;

/** Which environments there are to choose from, each once, in the order in which they are likely meant. */
export function choices(
  glances: readonly IGlance[],
  notebook: { readonly path: string | null; readonly recorded: string | null }
): readonly IChoice[] {
  const folder = (path: string): string => path.split('/').slice(0, -1).join('/');
  const here = notebook.path === null ? null : folder(notebook.path);
  const recent = [...glances]
    .filter(each => each.used)
    .sort((one, other) => ((one.used ?? '') < (other.used ?? '') ? 1 : -1))
    .slice(0, RECENT);
  const group = (each: IGlance): Group => {
    if (each.name === notebook.recorded) {
      return 'recorded';
    }
    if (here !== null && each.notebooks?.some(used => used.path !== null && folder(used.path) === here)) {
      return 'folder';
    }
    return recent.includes(each) ? 'recent' : 'other';
  };
  const known = glances.map(glance => ({ group: group(glance), glance }));
  const recency = (each: IChoice): number => recent.findIndex(one => one === each.glance);
  return [...known, { group: 'new' as Group, glance: null }].sort(
    (one, other) =>
      ORDER.indexOf(one.group) - ORDER.indexOf(other.group) ||
      (one.group === 'recent' ? recency(one) - recency(other) : 0)
  );
}

/** A search field over a list: typing filters, arrows move, Enter chooses. */
export function Picker(props: {
  choices: readonly IChoice[];
  current: string | null;
  trans: TranslationBundle;
  onSelect: (choice: IChoice) => void;
  onChoose: (choice: IChoice) => void;
}): JSX.Element {
  const { trans, onSelect } = props;
  const id = React.useId();
  const [filter, setFilter] = React.useState('');
  const [active, setActive] = React.useState(0);
  const shown = React.useMemo(() => matching(props.choices, filter), [props.choices, filter]);
  const at = Math.min(active, shown.length - 1);
  const chosen = shown[at];
  React.useEffect(() => {
    if (chosen) {
      onSelect(chosen);
    }
  }, [chosen, onSelect]);
  React.useEffect(() => {
    document.getElementById(`${id}-${at}`)?.scrollIntoView?.({ block: 'nearest' });
  }, [id, at]);
  return (
    <div className="vv-Picker">
      <input
        type="search"
        className="vv-Filter"
        role="combobox"
        aria-expanded="true"
        aria-controls={`${id}-list`}
        aria-activedescendant={`${id}-${at}`}
        aria-label={trans.__('Search environments')}
        placeholder={trans.__('Search environments')}
        value={filter}
        onChange={event => {
          setFilter(event.target.value);
          setActive(0);
        }}
        onKeyDown={event => {
          if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
            event.preventDefault();
            const step = event.key === 'ArrowDown' ? 1 : -1;
            setActive(Math.max(0, Math.min(shown.length - 1, at + step)));
          }
        }}
      />
      <div id={`${id}-list`} className="vv-Choices" role="listbox" aria-label={trans.__('Environments')}>
        {shown.map((choice, index) => (
          <React.Fragment key={choice.glance?.name ?? ''}>
            {choice.group !== shown[index - 1]?.group && (
              <div className="vv-ListHeading" role="presentation">
                {groupName(choice.group, trans)}
              </div>
            )}
            <div
              id={`${id}-${index}`}
              className="vv-Choice"
              role="option"
              aria-selected={index === at}
              onClick={() => setActive(index)}
              onDoubleClick={() => props.onChoose(choice)}
            >
              <Choice choice={choice} current={props.current} trans={trans} />
            </div>
          </React.Fragment>
        ))}
      </div>
    </div>
  );
}

function Choice(props: { choice: IChoice; current: string | null; trans: TranslationBundle }): JSX.Element {
  const { trans } = props;
  const { glance } = props.choice;
  if (glance === null) {
    return <>{trans.__('New environment…')}</>;
  }
  const { environment } = glance;
  const about = [
    environment?.runtime,
    environment?.python_version
      ? `Python ${environment.python_version}`
      : environment?.language === 'r'
        ? 'R'
        : null,
    glance.package_count === null ? null : trans._n('%1 package', '%1 packages', glance.package_count),
    glance.problem ?? glance.state
  ].filter(Boolean);
  return (
    <>
      <div>
        {glance.name}
        {glance.name === props.current && <span className="vv-Badge"> {trans.__('in use')}</span>}
      </div>
      <div className="vv-Muted">{about.join(' · ')}</div>
    </>
  );
}

function matching(all: readonly IChoice[], filter: string): readonly IChoice[] {
  const wanted = filter.trim().toLowerCase();
  return all.filter(each => each.glance === null || each.glance.name.toLowerCase().includes(wanted));
}

function groupName(group: Group, trans: TranslationBundle): string {
  switch (group) {
    case 'recorded':
      return trans.__('Recorded by this notebook');
    case 'folder':
      return trans.__('Used in this folder');
    case 'recent':
      return trans.__('Recent');
    case 'other':
      return trans.__('Others');
    case 'new':
      return trans.__('New');
  }
}
