import { LabIcon } from '@jupyterlab/ui-components';
import type { Kind } from './api';

// Paths of 24 × 24 in the manner of Material's, which JupyterLab colours by these classes.
function drawn(path: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><path class="jp-icon3 jp-icon-selectable" fill="#616161" d="${path}"/></svg>`;
}

export const environmentIcon = new LabIcon({
  name: 'venvoy:environment',
  svgstr: drawn(
    'M12 2 3 6.8v10.4L12 22l9-4.8V6.8L12 2zm0 2.3 6 3.2-6 3.2-6-3.2 6-3.2zM5 9.2l6 3.2v6.7l-6-3.2V9.2zm14 6.7-6 3.2v-6.7l6-3.2v6.7z'
  )
});

const KINDS: Record<Kind, string> = {
  venv: 'M4 4h16v16H4V4zm2 2v12h12V6H6zm2 6 3 4 6-8h-2.4L11 13l-1-1H8z',
  conda: 'M12 3a9 9 0 1 0 8.5 12h-2.7A6.5 6.5 0 1 1 17.8 9h2.7A9 9 0 0 0 12 3z',
  docker:
    'M3 11h3V8h3V5h3v3h3v3h3c2 0 3-1 4-2-.2 6-4 10-10 10-5 0-8-3-9-8zm2 2c1 2.600 3 4 7 4 3 0 5-1 6-4H5z',
  podman:
    'M12 3a7 7 0 0 1 7 7v8l-3 3H8l-3-3v-8a7 7 0 0 1 7-7zm0 2a5 5 0 0 0-5 5v7l2 2h6l2-2v-7a5 5 0 0 0-5-5z',
  apptainer: 'M12 2l4 8h-3v4h4l-5 8-5-8h4v-4H8l4-8z',
  singularity:
    'M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm0 3a7 7 0 1 1 0 14 7 7 0 0 1 0-14zm0 4a3 3 0 1 0 0 6 3 3 0 0 0 0-6z'
};

const KIND_ICONS = new Map(
  (Object.keys(KINDS) as Kind[]).map(kind => [
    kind,
    new LabIcon({ name: `venvoy:${kind}`, svgstr: drawn(KINDS[kind]) })
  ])
);

export function kindIcon(kind: Kind): LabIcon {
  return KIND_ICONS.get(kind) ?? environmentIcon;
}
