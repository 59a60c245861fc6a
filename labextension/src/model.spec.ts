import type { IAbout, IApi, IHistory, INotebook, IPackages, IState } from './api';
import { NotebookModel, ServerPart, SidebarModel } from './model';
import { OTHER_VERSION, RequestError } from './request';

const STATE: IState = {
  kind: 'matches',
  sentence: 'Matches the freeze of 3 Nov 2026 14:02.',
  tone: 'good',
  action: null,
  frozen: '2026-11-03T14:02:00Z',
  count: 0,
  restart: null
};

function notebook(name: string): INotebook {
  const environment = { environment: { name, base: null } } as INotebook['environment'];
  return { path: `${name}.ipynb`, kernel: null, source: 'kernel', recorded: null, state: STATE, environment };
}

class Server implements Partial<IApi> {
  calls: string[] = [];
  about = async (): Promise<IAbout> => ({ api: 1, may: { view: true, change: true } }) as IAbout;
  notebook = async (path: string | null): Promise<INotebook> => notebook((path ?? '').replace('.ipynb', ''));
  packages = async (name: string): Promise<IPackages> => {
    this.calls.push(`packages of ${name}`);
    return { environment: name, packages: [], removed: [] };
  };
  history = async (name: string): Promise<IHistory> => ({ environment: name, total: 0, entries: [] });
  size = async (): Promise<number> => 0;
}

function model(server: Server, path: string): NotebookModel {
  const api = server as unknown as IApi;
  return new NotebookModel(api, new ServerPart(api), () => ({
    path,
    kernel: null,
    recorded: { environment: 'study', snapshot: null, lock: null }
  }));
}

const settled = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 0));

describe('the model of a notebook', () => {
  it('says what its metadata says where the server has no venvoy', async () => {
    const server = new Server();
    server.about = () => Promise.reject(new RequestError(404, 'Not Found'));
    const one = model(server, 'one.ipynb');

    await one.refresh();

    expect(one.state).toEqual({
      kind: 'absent',
      recorded: { environment: 'study', snapshot: null, lock: null }
    });
  });

  it('does not take another version of the server part for none', async () => {
    const server = new Server();
    server.about = () => Promise.reject(new RequestError(OTHER_VERSION, ''));
    const one = model(server, 'one.ipynb');

    await one.refresh();

    expect(one.state).toMatchObject({ kind: 'failed', problem: { status: OTHER_VERSION } });
  });

  it('keeps what it knew when the server does not answer any more', async () => {
    const server = new Server();
    const one = model(server, 'one.ipynb');
    await one.refresh();
    server.notebook = () => Promise.reject(new RequestError(0, 'fetch failed'));

    await one.refresh();

    expect(one.state).toMatchObject({ kind: 'ready', notebook: { path: 'one.ipynb' }, stale: { status: 0 } });
  });

  it('fails where it never knew anything, and recovers', async () => {
    const server = new Server();
    const answer = server.about;
    server.about = () => Promise.reject(new RequestError(0, 'fetch failed'));
    const one = model(server, 'one.ipynb');
    await one.refresh();
    expect(one.state.kind).toBe('failed');

    server.about = answer;
    await one.refresh();

    expect(one.state.kind).toBe('ready');
  });

  it('is told apart from a failure where its user may not look', async () => {
    const server = new Server();
    server.notebook = () => Promise.reject(new RequestError(403, 'no'));
    const one = model(server, 'one.ipynb');

    await one.refresh();

    expect(one.state.kind).toBe('forbidden');
  });

  it('drops an answer that came after a later one', async () => {
    const server = new Server();
    const waiting: ((value: INotebook) => void)[] = [];
    server.notebook = () => new Promise(resolve => waiting.push(resolve));
    const one = model(server, 'one.ipynb');
    const first = one.refresh();
    const second = one.refresh();
    await settled();

    waiting[1](notebook('late'));
    waiting[0](notebook('early'));
    await Promise.all([first, second]);

    expect(one.environment).toBe('late');
  });
});

describe('the model of the sidebar', () => {
  it('lists the environment of the notebook in front', async () => {
    const server = new Server();
    const sidebar = new SidebarModel(server as unknown as IApi);
    sidebar.visible = true;
    const one = model(server, 'one.ipynb');
    await one.refresh();

    sidebar.follow(one);
    await settled();

    expect(sidebar.packages.value?.environment).toBe('one');
  });

  it('asks for nothing while nobody sees it, and once when it is seen', async () => {
    const server = new Server();
    const sidebar = new SidebarModel(server as unknown as IApi);
    const one = model(server, 'one.ipynb');
    await one.refresh();
    sidebar.follow(one);
    await sidebar.reload();
    expect(server.calls).toEqual([]);

    sidebar.visible = true;
    await settled();

    expect(server.calls).toEqual(['packages of one']);
  });

  it('keeps what was measured until packages move', async () => {
    const server = new Server();
    let version = '1.0';
    server.size = async () => 3000;
    server.packages = async name => {
      const packages = [{ name: 'numpy', version }] as unknown as IPackages['packages'];
      return { environment: name, packages, removed: [] };
    };
    const sidebar = new SidebarModel(server as unknown as IApi);
    const one = model(server, 'one.ipynb');
    await one.refresh();
    sidebar.visible = true;
    sidebar.follow(one);
    await settled();
    await sidebar.measure();

    await sidebar.reload();
    const kept = sidebar.size.value;
    version = '2.0';
    await sidebar.reload();

    expect([kept, sidebar.size.value]).toEqual([3000, null]);
  });

  it('stays with the notebook that it is pinned to until that is closed', async () => {
    const server = new Server();
    const sidebar = new SidebarModel(server as unknown as IApi);
    const one = model(server, 'one.ipynb');
    const two = model(server, 'two.ipynb');
    sidebar.follow(one);
    sidebar.pin(true);

    sidebar.follow(two);
    expect(sidebar.shown).toBe(one);
    sidebar.forget(one);

    expect(sidebar.shown).toBe(two);
    expect(sidebar.pinned).toBe(false);
  });
});
