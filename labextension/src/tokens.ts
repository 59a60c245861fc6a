/** Names that the rest of the extension, the settings and other extensions go by. */

export const PLUGIN = 'venvoy:plugin';
export const PANEL = 'venvoy-panel';
/** Under which a notebook's metadata says where it was run. */
export const METADATA_KEY = 'venvoy';

export const JOB_EVENT = 'https://events.venvoy.dev/job';
export const ENVIRONMENT_EVENT = 'https://events.venvoy.dev/environment';

export const Command = {
  show: 'venvoy:show-panel',
  refresh: 'venvoy:refresh-panel',
  pin: 'venvoy:pin-notebook',
  change: 'venvoy:change-environment',
  create: 'venvoy:create-environment',
  open: 'venvoy:open-notebook',
  freeze: 'venvoy:freeze-environment',
  exportTo: 'venvoy:export-environment',
  archive: 'venvoy:archive-environment',
  importFrom: 'venvoy:import-archive',
  verify: 'venvoy:verify-environment',
  repair: 'venvoy:repair-environment',
  restore: 'venvoy:restore-environment',
  undo: 'venvoy:undo-change',
  restart: 'venvoy:restart-kernel',
  cancel: 'venvoy:cancel-job',
  copy: 'venvoy:copy-command'
} as const;

export type CommandId = (typeof Command)[keyof typeof Command];
