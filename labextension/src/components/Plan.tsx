import React from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IPlan } from '../api';
import { bytes, lines } from '../words';

/** What going back would do, before it is done. */
export function Plan(props: { plan: IPlan; trans: TranslationBundle }): JSX.Element {
  const { plan, trans } = props;
  const changes = lines(plan.changes, trans);
  return (
    <div className="vv-Plan">
      <p>{trans.__('“%1” becomes what it was at %2.', plan.environment, plan.to.label)}</p>
      {changes.length === 0 ? (
        <p>{trans.__('No package changes.')}</p>
      ) : (
        <ul className="vv-Changes" tabIndex={0} aria-label={trans.__('What changes')}>
          {changes.map(line => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      )}
      <p>{download(plan, trans)}</p>
      {plan.stale.length > 0 && (
        <p>
          {trans.__(
            'The running kernel keeps what it has loaded (%1) until it is restarted.',
            plan.stale.map(each => each.package).join(', ')
          )}
        </p>
      )}
    </div>
  );
}

function download(plan: IPlan, trans: TranslationBundle): string {
  if (plan.kept) {
    return trans.__('Nothing is downloaded or built: the folder of that state is still there.');
  }
  if (plan.download.length === 0) {
    return trans._n(
      'Nothing is downloaded; %1 package is there already.',
      'Nothing is downloaded; %1 packages are there already.',
      plan.cached
    );
  }
  const count = trans._n('%1 package is downloaded', '%1 packages are downloaded', plan.download.length);
  return plan.size === null
    ? trans.__('%1; the index does not say how large.', count)
    : trans.__('%1: %2.', count, bytes(plan.size));
}
