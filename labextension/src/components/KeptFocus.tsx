import React from 'react';

/**
 * Whoever goes by keyboard stays where they were: where a button had the focus that is gone or off now, `home` has it.
 *
 * React looks right before and right after it changes the page, so that no key that is pressed meanwhile goes astray;
 * the browser itself takes the focus from a button that is off only a while later.
 */
export class KeptFocus extends React.Component<React.PropsWithChildren<{ readonly home: HTMLElement }>> {
  getSnapshotBeforeUpdate(): boolean {
    return this.props.home.contains(document.activeElement);
  }

  componentDidUpdate(_props: unknown, _state: unknown, had: boolean): void {
    const { activeElement } = document;
    const lost = !activeElement || activeElement === document.body || activeElement.matches(':disabled');
    if (had && lost) {
      this.props.home.focus({ preventScroll: true });
    }
  }

  render(): React.ReactNode {
    return this.props.children;
  }
}
