import React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IIdentity } from '../api';
import type { Loadable } from '../resource';
import { bytes, wrong } from '../words';
import { Note } from './Problem';

/** What it is and where: facts, each to be copied. */
export function Identity(props: {
  identity: IIdentity | null;
  size: Loadable<number>;
  icon: JSX.Element | null;
  /** Whether recording may be switched. */
  mayChange: boolean;
  trans: TranslationBundle;
  onCopy: (text: string) => void;
  onMeasure: () => void;
  onRecord: (on: boolean) => void;
}): JSX.Element {
  const { identity, trans } = props;
  if (!identity) {
    return <Note>{trans.__('There is no environment to describe.')}</Note>;
  }
  const language = identity.language === 'r' ? 'R' : 'Python';
  const copied = { trans, onCopy: props.onCopy };
  const { record } = identity.environment;
  return (
    <dl className="vv-Facts">
      <Fact label={trans.__('Kind')} value={identity.kind} icon={props.icon} />
      <Fact label={language} value={identity.version} />
      <Fact label={trans.__('Folder')} value={identity.prefix} {...copied} />
      {identity.image && (
        <>
          <Fact label={trans.__('Image')} value={identity.image.reference} {...copied} />
          <Fact label={trans.__('Digest')} value={identity.image.digest} {...copied} />
        </>
      )}
      <Fact label={trans.__('Runs on')} value={identity.host} />
      <Fact label={trans.__('Record')} value={identity.project} {...copied} />
      {identity.lock && <Fact label={trans.__('Lock')} value={identity.lock} {...copied} />}
      <dt>{trans.__('Changes')}</dt>
      <dd className="vv-Row">
        <span>{record ? trans.__('recorded as they happen') : trans.__('not recorded')}</span>
        <button
          type="button"
          className="vv-Link"
          disabled={!props.mayChange}
          aria-label={record ? trans.__('Stop recording changes') : trans.__('Record changes')}
          onClick={() => props.onRecord(!record)}
        >
          {record ? trans.__('Stop') : trans.__('Record')}
        </button>
      </dd>
      <dt>{trans.__('Size')}</dt>
      <dd>
        <Size size={props.size} trans={trans} onMeasure={props.onMeasure} />
      </dd>
      <dt>{trans.__('Notebooks')}</dt>
      <dd>
        {identity.notebooks.length === 0
          ? trans.__('none')
          : identity.notebooks.map(each => (
              <div key={each.notebook} className="vv-Ellipsis" title={each.notebook}>
                {each.path ?? each.notebook}
                {each.running ? ` · ${trans.__('running')}` : ''}
              </div>
            ))}
      </dd>
    </dl>
  );
}

function Fact(props: {
  label: string;
  value: string;
  icon?: JSX.Element | null;
  trans?: TranslationBundle;
  /** Where it is there, the value is one to be copied. */
  onCopy?: (text: string) => void;
}): JSX.Element {
  const { onCopy, trans } = props;
  return (
    <>
      <dt>{props.label}</dt>
      <dd className="vv-Row">
        {props.icon}
        <span className={onCopy ? 'vv-Code vv-Ellipsis' : 'vv-Ellipsis'} title={props.value}>
          {props.value}
        </span>
        {onCopy && trans && (
          <button
            type="button"
            className="vv-Link"
            aria-label={trans.__('Copy: %1', props.label)}
            onClick={() => onCopy(props.value)}
          >
            {trans.__('Copy')}
          </button>
        )}
      </dd>
    </>
  );
}

function Size(props: {
  size: Loadable<number>;
  trans: TranslationBundle;
  onMeasure: () => void;
}): JSX.Element {
  const { size, trans } = props;
  const measure = (
    <button type="button" className="vv-Link" onClick={props.onMeasure}>
      {trans.__('Measure')}
    </button>
  );
  switch (size.kind) {
    case 'idle':
      return measure;
    case 'loading':
      return <>{trans.__('Counting …')}</>;
    case 'failed':
      return (
        <>
          {wrong(size.problem, trans)} {measure}
        </>
      );
    case 'ready':
      return (
        <>
          {bytes(size.value)} {measure}
        </>
      );
  }
}
