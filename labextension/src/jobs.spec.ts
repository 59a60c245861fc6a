import type { IApi, IJob, IWish } from './api';
import { JobsModel } from './jobs';

function job(seq: number, state: IJob['state'] = 'running', more: Partial<IJob> = {}): IJob {
  const said = {
    id: 'a',
    verb: 'freeze',
    environment: 'study',
    started: '2026-11-03T14:02:00Z',
    file: null,
    error: null
  };
  return { ...said, seq, state, ...more } as IJob;
}

function jobs(api: Partial<IApi> = {}): JobsModel {
  return new JobsModel({ jobs: async () => [], ...api } as IApi);
}

describe('jobs', () => {
  let model: JobsModel;
  afterEach(() => model.dispose());

  it('are as their latest event says, in whatever order events come', () => {
    model = jobs();

    model.update(job(3, 'succeeded'));
    model.update(job(2));

    expect(model.get('a')?.state).toBe('succeeded');
    expect(model.running('study')).toBeNull();
  });

  it('are told to have ended once', () => {
    model = jobs();
    const ended: number[] = [];
    model.ended.connect((_, each) => ended.push(each.seq));

    model.update(job(1));
    model.update(job(2, 'failed'));
    model.update(job(2, 'failed'));
    model.update(job(3, 'failed'));

    expect(ended).toEqual([2]);
  });

  it('are ours however early their end is told', async () => {
    const heard: string[] = [];
    model = jobs({
      begin: async () => {
        model.update(job(4, 'succeeded'));
        return job(1, 'queued');
      }
    });
    model.ended.connect((_, each) => heard.push(model.isMine(each) ? `ours ${heard[0] ?? ''}` : ''));

    await model.begin({} as IWish, each => heard.unshift(each.id));

    expect(heard).toEqual(['a', '', 'ours a']);
    expect(model.get('a')?.state).toBe('succeeded');
  });

  it('are lost when the server knows nothing of them, and found when it does', async () => {
    model = jobs();
    model.update(job(2));
    await model.reconcile();
    expect(model.get('a')?.state).toBe('lost');

    model.update(job(2, 'running'));

    expect(model.get('a')?.state).toBe('running');
  });

  it('are not lost where they begin while the server answers', async () => {
    model = jobs({
      jobs: async () => {
        model.update(job(1, 'running'));
        return [];
      }
    });

    await model.reconcile();

    expect(model.get('a')?.state).toBe('running');
  });

  it('take in the result that only the server has', async () => {
    model = jobs({ job: async () => job(2, 'succeeded', { result: { reached: 'L2' } }) });
    model.update(job(2, 'succeeded'));

    await model.complete('a');

    expect(model.get('a')?.result).toEqual({ reached: 'L2' });
  });

  it('that ended before anybody looked are no news', async () => {
    model = jobs({ jobs: async () => [job(4, 'failed'), job(1, 'running', { id: 'b' })] });

    await model.reconcile();

    expect(model.all.map(each => each.id)).toEqual(['b']);
  });

  it('of other environments are shown while they go on, and to their end where this page began them', async () => {
    model = jobs({ begin: async () => job(1, 'running', { id: 'mine', environment: 'new' }) });
    model.update(job(1, 'running', { id: 'theirs', environment: 'other' }));
    await model.begin({ verb: 'init', environment: 'new', words: [], notebook: null });
    const shown = (): string[] => model.latest('study').map(each => each.id);
    expect(shown().sort()).toEqual(['mine', 'theirs']);
    expect(model.running('study')).toBeNull();

    model.update(job(2, 'succeeded', { id: 'theirs', environment: 'other' }));
    model.update(job(2, 'failed', { id: 'mine', environment: 'new' }));

    expect(shown()).toEqual(['mine']);
  });

  it('have their log read to its end, from where it was left', async () => {
    const parts = ['', 'one ', 'two ', 'three'];
    model = jobs({
      log: async (_id, offset) => ({ text: parts[offset + 1], offset: offset + 1, size: 3 })
    });

    expect(await model.log('a', 1)).toEqual({ text: 'two three', offset: 3, size: 3 });
  });
});
