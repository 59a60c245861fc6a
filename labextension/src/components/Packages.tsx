import React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Badge, IListed, IPackage, IPackages } from '../api';
import type { Loadable } from '../resource';
import { spoken, when, who } from '../words';
import { Note, Problem, Stale } from './Problem';
import { VirtualList } from './VirtualList';

type Rank = 'imported' | 'asked' | 'rest' | 'removed';

interface IShown {
  readonly item: IPackage;
  readonly listed: IListed | null;
  readonly rank: Rank;
}

const RANKS: readonly Rank[] = ['imported', 'asked', 'rest', 'removed'];

/** What is installed: what this notebook imports, what was asked for, the rest, and what is gone since the freeze. */
export function Packages(props: {
  packages: Loadable<IPackages>;
  trans: TranslationBundle;
  onRetry: () => void;
}): JSX.Element {
  const { packages, trans } = props;
  switch (packages.kind) {
    case 'idle':
      return <Note>{trans.__('There is no environment whose packages could be listed.')}</Note>;
    case 'loading':
      return (
        <p className="vv-Note" role="status">
          {trans.__('Reading the packages …')}
        </p>
      );
    case 'failed':
      return <Problem problem={packages.problem} trans={trans} onRetry={props.onRetry} />;
    case 'ready':
      return (
        <>
          <Stale problem={packages.stale} trans={trans} onRetry={props.onRetry} />
          <Listing value={packages.value} trans={trans} />
        </>
      );
  }
}

function Listing(props: { value: IPackages; trans: TranslationBundle }): JSX.Element {
  const { value, trans } = props;
  const [filter, setFilter] = React.useState('');
  const [active, setActive] = React.useState(0);
  const all = React.useMemo(() => arranged(value), [value]);
  const shown = React.useMemo(() => matching(all, filter), [all, filter]);
  const heading = React.useCallback(
    (item: IShown, before: IShown | null) => (item.rank === before?.rank ? null : rankName(item.rank, trans)),
    [trans]
  );
  const at = Math.min(active, Math.max(0, shown.length - 1));
  if (all.length === 0) {
    return <Note>{trans.__('Nothing is installed yet. In a cell: %pip install numpy')}</Note>;
  }
  return (
    <div className="vv-Packages">
      <input
        type="search"
        className="vv-Filter"
        placeholder={trans._n('Filter %1 package', 'Filter %1 packages', value.packages.length)}
        aria-label={trans.__('Filter packages')}
        value={filter}
        onChange={event => {
          setFilter(event.target.value);
          setActive(0);
        }}
      />
      {shown.length === 0 ? (
        <p className="vv-Note" role="status">
          {trans.__('No package is called so.')}
        </p>
      ) : (
        <VirtualList
          label={trans.__('Packages')}
          items={shown}
          active={at}
          itemKey={each => `${each.rank}-${each.item.ecosystem}-${each.item.name}`}
          heading={heading}
          draw={each => <Row shown={each} trans={trans} />}
          onActive={setActive}
        />
      )}
      {shown[at] && <Why shown={shown[at]} trans={trans} />}
    </div>
  );
}

function Row(props: { shown: IShown; trans: TranslationBundle }): JSX.Element {
  const { item, listed, rank } = props.shown;
  return (
    <>
      <span className="vv-Ellipsis vv-Grow">{item.name}</span>
      {rank === 'removed' && <span className="vv-Badge vv-mod-removed">{props.trans.__('removed')}</span>}
      {listed?.badges.map(badge => (
        <span key={badge} className={`vv-Badge vv-mod-${badge}`}>
          {badgeName(badge, props.trans)}
        </span>
      ))}
      <span className="vv-Version vv-Code">{item.version}</span>
    </>
  );
}

/** Why the active package is there, and what is particular about it. */
function Why(props: { shown: IShown; trans: TranslationBundle }): JSX.Element {
  const { trans } = props;
  const { item, listed } = props.shown;
  const told: string[] = [];
  if (listed === null) {
    told.push(trans.__('It was there when the environment was frozen.'));
  } else {
    if (listed.asked) {
      const { asked } = listed;
      told.push(trans.__('Asked for by %1 on %2.', who(asked.actor, trans), when(asked.at)));
      if (asked.command) {
        told.push(spoken(asked.command));
      }
    }
    if (listed.required_by.length > 0) {
      told.push(trans.__('Needed by %1.', listed.required_by.join(', ')));
    }
    if (listed.before !== null) {
      told.push(trans.__('Version %1 was frozen.', listed.before));
    }
    if (listed.loaded !== null) {
      told.push(trans.__('The kernel has version %1 loaded.', listed.loaded));
    }
    if (listed.reason !== null) {
      told.push(trans.__('Not reproducible: %1.', listed.reason));
    }
    if (told.length === 0) {
      told.push(trans.__('Nothing says why it is there.'));
    }
  }
  return (
    <div
      className="vv-Why"
      role="group"
      tabIndex={0}
      aria-live="polite"
      aria-label={trans.__('Why it is there')}
    >
      <strong>
        {item.name} {item.version}
      </strong>
      {told.map(line => (
        <div key={line}>{line}</div>
      ))}
    </div>
  );
}

function arranged(value: IPackages): readonly IShown[] {
  const rank = (each: IListed): Rank => (each.imported ? 'imported' : each.direct ? 'asked' : 'rest');
  const there = value.packages.map(each => ({ item: each, listed: each, rank: rank(each) }));
  const gone = value.removed.map(each => ({ item: each, listed: null, rank: 'removed' as Rank }));
  return [...there, ...gone].sort(
    (one, other) =>
      RANKS.indexOf(one.rank) - RANKS.indexOf(other.rank) || one.item.name.localeCompare(other.item.name)
  );
}

function matching(all: readonly IShown[], filter: string): readonly IShown[] {
  const wanted = filter.trim().toLowerCase();
  const badges = (each: IShown): readonly string[] => each.listed?.badges ?? ['removed'];
  return wanted === ''
    ? all
    : all.filter(each => each.item.name.toLowerCase().includes(wanted) || badges(each).includes(wanted));
}

function rankName(rank: Rank, trans: TranslationBundle): string {
  switch (rank) {
    case 'imported':
      return trans.__('Imported by this notebook');
    case 'asked':
      return trans.__('Asked for by name');
    case 'rest':
      return trans.__('The rest');
    case 'removed':
      return trans.__('Removed since the freeze');
  }
}

function badgeName(badge: Badge, trans: TranslationBundle): string {
  switch (badge) {
    case 'added':
      return trans.__('added');
    case 'changed':
      return trans.__('changed');
    case 'editable':
      return trans.__('editable');
    case 'unreproducible':
      return trans.__('not reproducible');
    case 'stale':
      return trans.__('restart');
  }
}
