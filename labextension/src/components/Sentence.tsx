import React from 'react';
import type { Tone } from '../api';

const SIGNS: Record<Tone, string> = { good: '✓', notice: '●', warning: '▲', error: '✕', none: '○' };

/** One sentence with its colour; the sign says the same to whoever does not see colours. */
export function Sentence(props: { sentence: string; tone: Tone }): JSX.Element {
  return (
    <>
      <span className={`vv-Sign vv-mod-${props.tone}`} aria-hidden="true">
        {SIGNS[props.tone]}
      </span>
      <span className="vv-Sentence">{props.sentence}</span>
    </>
  );
}

export function Chip(props: {
  sentence: string;
  tone: Tone;
  title: string;
  label: string;
  onClick: () => void;
  /** Choose another environment: what that is called, and what does it. */
  change: { readonly label: string; readonly icon: JSX.Element; readonly run: () => void } | null;
}): JSX.Element {
  const { change } = props;
  return (
    <>
      <button
        type="button"
        className="vv-Chip"
        title={props.title}
        aria-label={props.label}
        onClick={props.onClick}
      >
        <Sentence sentence={props.sentence} tone={props.tone} />
      </button>
      {change && (
        <button
          type="button"
          className="vv-Chip-change"
          title={change.label}
          aria-label={change.label}
          onClick={change.run}
        >
          {change.icon}
        </button>
      )}
    </>
  );
}
