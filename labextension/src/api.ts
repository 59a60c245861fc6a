/** The server part's answers, as its openapi.yaml has them, and the calls that bring them. */
import {
  type IRequest,
  NO_ANSWER_OF_OURS,
  OTHER_VERSION,
  type Query,
  RequestError,
  isObject
} from './request';

export type Tone = 'good' | 'notice' | 'warning' | 'error' | 'none';
export type StateKind =
  'matches' | 'changed' | 'never-frozen' | 'elsewhere' | 'restart' | 'broken' | 'unmanaged';
export type StateAction = 'freeze' | 'restore' | 'restart' | 'repair' | 'create';
export type Kind = 'venv' | 'conda' | 'docker' | 'podman' | 'apptainer' | 'singularity';
export type Verb =
  | 'init'
  | 'make'
  | 'install'
  | 'remove'
  | 'freeze'
  | 'restore'
  | 'undo'
  | 'export'
  | 'archive'
  | 'import'
  | 'verify'
  | 'build'
  | 'repair'
  | 'configure';

export interface IAbout {
  readonly version: string;
  readonly api: number;
  readonly host: string;
  readonly home: string;
  readonly projects: string;
  readonly may: { readonly view: boolean; readonly change: boolean };
  readonly verbs: readonly { readonly name: string; readonly help: string; readonly magic: string | null }[];
  readonly formats: readonly {
    readonly name: string;
    readonly filename: string;
    readonly hashed: boolean;
    readonly packed: boolean;
  }[];
}

export interface ILoadedModule {
  readonly module: string;
  readonly package: string;
  readonly loaded: string | null;
  readonly installed: string | null;
}

export interface IRestart {
  readonly needed: boolean;
  readonly replaced: boolean;
  readonly python: readonly string[] | null;
  readonly modules: readonly ILoadedModule[];
}

export interface IState {
  readonly kind: StateKind;
  readonly sentence: string;
  readonly tone: Tone;
  readonly action: StateAction | null;
  readonly frozen: string | null;
  readonly count: number;
  readonly restart: IRestart | null;
}

export interface IRecorded {
  readonly environment: string;
  readonly snapshot: string | null;
  readonly lock: string | null;
  readonly present: boolean;
  readonly known: boolean;
}

export interface IUsed {
  readonly notebook: string;
  readonly path: string | null;
  readonly running: boolean;
}

export interface IIdentity {
  readonly environment: { readonly name: string; readonly base: string | null; readonly record: boolean };
  readonly kind: Kind;
  readonly language: 'python' | 'r';
  readonly version: string;
  readonly prefix: string;
  readonly image: { readonly reference: string; readonly digest: string } | null;
  readonly host: string;
  readonly folder: string;
  readonly project: string;
  readonly lock: string | null;
  readonly kernel: string | null;
  readonly notebooks: readonly IUsed[];
  readonly package_count: number | null;
  readonly entries: number;
  readonly read_only: boolean;
  readonly busy: boolean;
}

export interface INotebook {
  readonly path: string | null;
  readonly kernel: { readonly id: string; readonly name: string; readonly managed: boolean } | null;
  readonly source: 'kernel' | 'recorded' | 'kernelspec' | 'none';
  readonly recorded: IRecorded | null;
  readonly state: IState;
  readonly environment: IIdentity | null;
}

export interface IGlance {
  readonly name: string;
  readonly environment: {
    readonly language: string;
    readonly runtime: string;
    readonly python_version?: string;
  } | null;
  readonly package_count: number | null;
  readonly state: string | null;
  readonly kernel: string | null;
  readonly problem: string | null;
  readonly used?: string | null;
  readonly notebooks?: readonly IUsed[];
}

export interface IActor {
  readonly kind: 'cell' | 'command' | 'terminal' | 'sidebar';
  readonly notebook?: string;
  readonly count?: number;
  readonly command?: string;
}

export interface IPackage {
  readonly ecosystem: string;
  readonly name: string;
  readonly version: string;
  readonly origin: string;
  readonly direct: boolean | null;
}

export type Badge = 'added' | 'changed' | 'editable' | 'unreproducible' | 'stale';

export interface IListed extends IPackage {
  readonly imported: boolean;
  readonly required_by: readonly string[];
  readonly asked: {
    readonly index: number;
    readonly at: string;
    readonly actor: IActor;
    readonly command: string | null;
  } | null;
  readonly badges: readonly Badge[];
  readonly before: string | null;
  readonly loaded: string | null;
  readonly reason: string | null;
}

export interface IPackages {
  readonly environment: string;
  readonly packages: readonly IListed[];
  readonly removed: readonly IPackage[];
}

/** Something about an image: its digest, its system. */
export interface IFact {
  readonly name: string;
  readonly before: string | null;
  readonly after: string | null;
}

export interface IChanges {
  readonly added: readonly IPackage[];
  readonly removed: readonly IPackage[];
  readonly changed: readonly { readonly name: string; readonly before: string; readonly after: string }[];
  readonly interpreter: readonly string[] | null;
  readonly base: {
    readonly facts: readonly IFact[];
    readonly added: readonly IPackage[];
    readonly removed: readonly IPackage[];
    readonly changed: readonly { readonly name: string; readonly before: string; readonly after: string }[];
  } | null;
}

export interface IEntry {
  readonly index: number;
  readonly at: string;
  readonly event: 'change' | 'undo' | 'asked' | 'freeze' | 'import';
  readonly actor: IActor;
  readonly asked: readonly { readonly names: readonly string[]; readonly command: string }[];
  readonly snapshot: string;
  readonly changes: IChanges;
}

export interface IHistory {
  readonly environment: string;
  readonly total: number;
  readonly entries: readonly IEntry[];
}

export interface INamedPoint {
  readonly label: string;
  readonly index: number | null;
}

export interface IDiff {
  readonly from: INamedPoint;
  readonly to: INamedPoint;
  readonly changes: IChanges;
}

export interface IPlan {
  readonly environment: string;
  readonly to: INamedPoint;
  readonly changes: IChanges;
  readonly kept: boolean;
  readonly download: readonly string[];
  readonly cached: number;
  readonly size: number | null;
  readonly stale: readonly ILoadedModule[];
}

export type JobState = 'queued' | 'running' | 'cancelling' | 'succeeded' | 'failed' | 'cancelled' | 'lost';

export interface IJob {
  readonly id: string;
  readonly seq: number;
  readonly verb: string;
  readonly environment: string | null;
  readonly command: string | null;
  readonly magic: string | null;
  readonly origin: 'sidebar' | 'command' | 'cell';
  readonly state: JobState;
  readonly phase: string | null;
  readonly done: number | null;
  readonly total: number | null;
  readonly unit: string | null;
  readonly rate: number | null;
  readonly remaining: number | null;
  readonly message: string;
  readonly started: string;
  readonly ended: string | null;
  readonly cancellable: boolean;
  readonly error: { readonly kind: string; readonly message: string; readonly hint: string | null } | null;
  readonly file: { readonly name: string; readonly size: number } | null;
  readonly result?: Record<string, unknown> | null;
}

export interface IWish {
  readonly verb: Verb;
  readonly environment: string;
  readonly words: readonly string[];
  readonly notebook: string | null;
}

export interface ILog {
  readonly text: string;
  readonly offset: number;
  readonly size: number;
}

export interface IApi {
  about(): Promise<IAbout>;
  notebook(path: string | null, kernel: string | null): Promise<INotebook>;
  environments(): Promise<readonly IGlance[]>;
  packages(name: string, path: string | null, kernel: string | null): Promise<IPackages>;
  history(name: string, last: number): Promise<IHistory>;
  diff(name: string, from: string, to: string): Promise<IDiff>;
  plan(name: string, to: string, kernel: string | null): Promise<IPlan>;
  size(name: string): Promise<number>;
  jobs(): Promise<readonly IJob[]>;
  job(id: string): Promise<IJob>;
  begin(wish: IWish): Promise<IJob>;
  /** Stop a job; one that has ended is forgotten, and then this is null. */
  cancel(id: string): Promise<IJob | null>;
  log(id: string, offset: number): Promise<ILog>;
  file(id: string): string;
}

export function isJob(value: unknown): value is IJob {
  return (
    isObject(value) &&
    typeof value.id === 'string' &&
    typeof value.seq === 'number' &&
    typeof value.state === 'string'
  );
}

const PHASES_OF_AN_END: readonly JobState[] = ['succeeded', 'failed', 'cancelled', 'lost'];

export function hasEnded(job: IJob): boolean {
  return PHASES_OF_AN_END.includes(job.state);
}

export class Api implements IApi {
  constructor(private _request: IRequest) {}

  async about(): Promise<IAbout> {
    const about = await this._get<IAbout>('about', ['api', 'may', 'verbs', 'formats']);
    if (about.api !== 1) {
      throw new RequestError(OTHER_VERSION, `${about.api} ≠ 1`);
    }
    return about;
  }

  notebook(path: string | null, kernel: string | null): Promise<INotebook> {
    return this._get('notebook', ['state', 'source'], { path, kernel });
  }

  async environments(): Promise<readonly IGlance[]> {
    return (await this._get<{ environments: IGlance[] }>('environments', ['environments'])).environments;
  }

  packages(name: string, path: string | null, kernel: string | null): Promise<IPackages> {
    return this._get(`${of(name)}/packages`, ['packages', 'removed'], { path, kernel });
  }

  history(name: string, last: number): Promise<IHistory> {
    return this._get(`${of(name)}/history`, ['entries', 'total'], { last });
  }

  diff(name: string, from: string, to: string): Promise<IDiff> {
    return this._get(`${of(name)}/diff`, ['from', 'to', 'changes'], { from, to });
  }

  plan(name: string, to: string, kernel: string | null): Promise<IPlan> {
    return this._get(`${of(name)}/plan`, ['to', 'changes', 'download'], { to, kernel });
  }

  async size(name: string): Promise<number> {
    return (await this._get<{ size: number }>(`${of(name)}/size`, ['size'])).size;
  }

  async jobs(): Promise<readonly IJob[]> {
    return (await this._get<{ jobs: IJob[] }>('jobs', ['jobs'])).jobs;
  }

  job(id: string): Promise<IJob> {
    return this._get(`jobs/${id}`, ['id', 'seq', 'state']);
  }

  async begin(wish: IWish): Promise<IJob> {
    return looked<IJob>(await this._request.post('jobs', wish), ['id', 'seq', 'state']);
  }

  async cancel(id: string): Promise<IJob | null> {
    const answer = await this._request.delete(`jobs/${id}`);
    return isJob(answer) ? answer : null;
  }

  log(id: string, offset: number): Promise<ILog> {
    return this._get(`jobs/${id}/log`, ['text', 'offset', 'size'], { offset });
  }

  file(id: string): string {
    return this._request.address(`jobs/${id}/file`);
  }

  private async _get<T>(path: string, keys: readonly string[], query: Query = {}): Promise<T> {
    return looked<T>(await this._request.get(path, query), keys);
  }
}

function of(name: string): string {
  return `environments/${encodeURIComponent(name)}`;
}

/** The answer, where it is what was asked for: a proxy's page, or another program's route, is not. */
function looked<T>(answer: unknown, keys: readonly string[]): T {
  if (!isObject(answer) || !keys.every(key => key in answer)) {
    throw new RequestError(NO_ANSWER_OF_OURS, keys.join(', '));
  }
  return answer as T;
}
