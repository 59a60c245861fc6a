import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

/** What stands for a status where the answer was none: no server answered, it was not ours, or another version's. */
export const NO_ANSWER = 0;
export const NO_ANSWER_OF_OURS = -1;
export const OTHER_VERSION = -2;

/** What the server part says when it cannot do what was asked for. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint: string | null = null
  ) {
    super(message);
    this.name = 'RequestError';
  }
}

export type Query = Readonly<Record<string, string | number | null | undefined>>;

export interface IRequest {
  get(path: string, query?: Query): Promise<unknown>;
  post(path: string, body: object): Promise<unknown>;
  delete(path: string): Promise<unknown>;
  /** Where a browser downloads it from. */
  address(path: string): string;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Requests to venvoy's routes; what is read from the server is `unknown` until somebody looked at it. */
export class ServerRequest implements IRequest {
  constructor(settings: ServerConnection.ISettings) {
    // With JupyterLab's own "no-store" every address gets the time behind it; asking anew is enough.
    this._settings = { ...settings, init: { ...settings.init, cache: 'no-cache' } };
  }

  get(path: string, query: Query = {}): Promise<unknown> {
    const said = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
    const search = new URLSearchParams(said.map(([name, value]) => [name, String(value)])).toString();
    return this._send(search ? `${path}?${search}` : path, {});
  }

  post(path: string, body: object): Promise<unknown> {
    return this._send(path, { method: 'POST', body: JSON.stringify(body) });
  }

  delete(path: string): Promise<unknown> {
    return this._send(path, { method: 'DELETE' });
  }

  address(path: string): string {
    return URLExt.join(this._settings.baseUrl, 'venvoy', path);
  }

  private async _send(path: string, init: RequestInit): Promise<unknown> {
    const url = URLExt.join(this._settings.baseUrl, 'venvoy', path);
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, init, this._settings);
    } catch (error) {
      throw new RequestError(NO_ANSWER, error instanceof Error ? error.message : String(error));
    }
    const answer = await body(response);
    if (!response.ok) {
      throw problem(response, answer);
    }
    return answer;
  }

  private _settings: ServerConnection.ISettings;
}

async function body(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

function problem(response: Response, answer: unknown): RequestError {
  const said = isObject(answer) ? answer : {};
  const message =
    typeof said.message === 'string' ? said.message : `${response.status} ${response.statusText}`;
  return new RequestError(response.status, message, typeof said.hint === 'string' ? said.hint : null);
}
