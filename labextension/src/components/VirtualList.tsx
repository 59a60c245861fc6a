import React from 'react';

const ROW = 24;
const SPARE = 8;

/**
 * A list box of any length: only the rows that are seen exist. `heading` says what stands above a row, null for nothing.
 * One row is the active one; arrows, Page Up and Down, Home and End move it.
 */
export function VirtualList<T>(props: {
  label: string;
  items: readonly T[];
  active: number;
  itemKey: (item: T) => string;
  heading: (item: T, before: T | null) => string | null;
  draw: (item: T) => JSX.Element;
  onActive: (index: number) => void;
}): JSX.Element {
  const id = React.useId();
  const box = React.useRef<HTMLDivElement>(null);
  const [top, setTop] = React.useState(0);
  const [height, setHeight] = React.useState(240);
  React.useLayoutEffect(() => {
    const node = box.current;
    if (!node || typeof ResizeObserver === 'undefined') {
      return;
    }
    const observer = new ResizeObserver(() => setHeight(node.clientHeight || 240));
    observer.observe(node);
    return () => observer.disconnect();
  }, []);
  const rows = React.useMemo(() => layOut(props.items, props.heading), [props.items, props.heading]);
  const first = Math.max(0, Math.floor(top / ROW) - SPARE);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW) + SPARE);
  const isDrawn = rows.slice(first, last).some(row => row.index === props.active);
  const go = (index: number): void => {
    const wanted = Math.max(0, Math.min(props.items.length - 1, index));
    props.onActive(wanted);
    const at = rows.findIndex(row => row.index === wanted) * ROW;
    const node = box.current;
    if (node && at < node.scrollTop + ROW) {
      node.scrollTop = Math.max(0, at - ROW);
    } else if (node && at + ROW > node.scrollTop + node.clientHeight) {
      node.scrollTop = at + ROW - node.clientHeight;
    }
  };
  const moves: Record<string, number> = {
    ArrowDown: props.active + 1,
    ArrowUp: props.active - 1,
    PageDown: props.active + Math.max(1, Math.floor(height / ROW) - 1),
    PageUp: props.active - Math.max(1, Math.floor(height / ROW) - 1),
    Home: 0,
    End: props.items.length - 1
  };
  return (
    <div
      ref={box}
      className="vv-List"
      role="listbox"
      tabIndex={0}
      aria-label={props.label}
      aria-activedescendant={isDrawn ? `${id}-${props.active}` : undefined}
      onScroll={event => setTop(event.currentTarget.scrollTop)}
      onKeyDown={event => {
        if (event.key in moves) {
          event.preventDefault();
          event.stopPropagation();
          go(moves[event.key]);
        }
      }}
    >
      <div role="presentation" style={{ height: rows.length * ROW, position: 'relative' }}>
        {rows.slice(first, last).map((row, offset) => {
          const style: React.CSSProperties = { top: (first + offset) * ROW, height: ROW };
          return row.index === null ? (
            <div key={`heading-${row.heading}`} className="vv-ListHeading" role="presentation" style={style}>
              {row.heading}
            </div>
          ) : (
            <div
              key={props.itemKey(props.items[row.index])}
              id={`${id}-${row.index}`}
              className="vv-ListRow"
              role="option"
              aria-selected={row.index === props.active}
              aria-setsize={props.items.length}
              aria-posinset={row.index + 1}
              style={style}
              onClick={() => props.onActive(row.index ?? 0)}
            >
              {props.draw(props.items[row.index])}
            </div>
          );
        })}
      </div>
    </div>
  );
}

interface IRow {
  readonly index: number | null;
  readonly heading: string | null;
}

function layOut<T>(
  items: readonly T[],
  heading: (item: T, before: T | null) => string | null
): readonly IRow[] {
  const rows: IRow[] = [];
  items.forEach((item, index) => {
    const above = heading(item, index > 0 ? items[index - 1] : null);
    if (above !== null) {
      rows.push({ index: null, heading: above });
    }
    rows.push({ index, heading: null });
  });
  return rows;
}
