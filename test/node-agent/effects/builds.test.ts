import { expect, it } from 'vitest';
import { type Deferred, deferred } from '../../../base/deferred.ts';
import { openLog } from '../../../base/log.ts';
import { Builds } from '../../../node-agent/effects/builds.ts';
import { noWish, TreeYields, type Wish } from '../../../node-agent/effects/tree-yields.ts';
import type { BuildFolders, Executor, ProcessEnd, ProcessRequest } from '../../../node-agent/ports.ts';
import { aBatchSpec, aJobOrder, noNeeds } from '../../kit/a-job-order.ts';
import { aLimit } from '../../kit/an-executor.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { until } from '../../kit/until.ts';

const pause: Wish = { ...noWish, step: 'pause' };
const half: Wish = { ...noWish, step: 'throttle', cores: 1 };
const home = '/builds/key';

/** Builds whose folders and processes the test moves on, and what is done to these for somebody at the desk. */
function world(adopted?: { readonly startedAtMs: number; readonly timeLimitMs: number }) {
  const clock = new ManualClock();
  const log = openLog('test', 'fatal');
  const asked: string[] = [];
  const laidOut: Deferred<void>[] = [];
  const ends: Deferred<ProcessEnd>[] = [];
  const request: ProcessRequest = { home, id: 'key', argv: ['make'], cwd: home, env: {}, limits: aLimit() };
  const folders: BuildFolders = {
    keyOf: () => 'key',
    find: async () => undefined,
    homeOf: () => home,
    async prepare() {
      const done = deferred<void>();
      laidOut.push(done);
      await done.promise;
      return request;
    },
    finish: async () => ({ folder: home }),
    remove: async () => undefined,
    list: async () => [],
  };
  // Of an executor this is all that builds and yields use.
  const executor: Pick<Executor, 'adopt' | 'start' | 'kill' | 'freeze' | 'thaw' | 'throttle' | 'watchLimits'> = {
    watchLimits: () => ({ close: () => undefined }),
    async adopt() {
      if (!adopted) return undefined;
      asked.push('adopt');
      const ended = deferred<ProcessEnd>();
      ends.push(ended);
      return { startedAtMs: adopted.startedAtMs, ended: ended.promise };
    },
    async start() {
      asked.push('start');
      const ended = deferred<ProcessEnd>();
      ends.push(ended);
      return { startedAtMs: clock.nowMs(), ended: ended.promise };
    },
    kill: async () => undefined,
    async freeze() {
      asked.push('freeze');
      return { processes: 1, tookMs: 0, missed: [] };
    },
    thaw: async () => undefined,
    async throttle(_, throttle) {
      asked.push(throttle ? 'throttle' : 'release');
      return { cores: 'cgroup', weight: 'cgroup', io: 'class', missed: [] };
    },
  };
  const builds = new Builds({
    ...{ clock, log, folders, closing: new AbortController().signal, killGraceMs: 0, limitBytes: 0 },
    executor: executor as Executor, // all of it that is used
    disk: { watch: () => ({ close: () => undefined }), explain: async (_home, _limit, end) => end },
    openLog: () => ({ abandon: async () => undefined, complete: async () => undefined }),
    lastLine: async () => '',
    treesChanged: () => void yields.apply(),
    report: () => undefined,
  });
  const yields = new TreeYields({ clock, log, executor, trees: () => builds.trees() });
  const runtime = { kind: 'command' as const, run: { kind: 'argv' as const, argv: ['make'] } };
  const order = aJobOrder(
    aBatchSpec({}, { build: { runtime, inputs: [], needs: noNeeds, timeLimitMs: adopted?.timeLimitMs ?? 0 } }),
  );
  const located = { order, buildDigest: 'digest', timeLimitMs: 0, capabilities: [] };
  const built = builds.ensure(located, 'batch', new AbortController().signal, () => undefined);
  return { clock, asked, laidOut, ends, builds, yields, built };
}

it('a build that was being laid out when somebody came stands still from its start', async () => {
  const { asked, laidOut, ends, yields, built } = world();
  await until('it is laid out', () => laidOut.length === 1);
  await yields.want(pause);
  laidOut[0]?.resolve();
  await until('it has been started', () => asked.includes('start'));
  await until('it stands still', () => asked.includes('freeze'));
  expect(asked).toEqual(['start', 'freeze']);
  ends[0]?.resolve({ kind: 'exited', exitCode: 0, ranMs: 1 });
  expect(await built).toEqual({ folder: home });
});

it('a build that was lost and is made again is slowed down like the one before', async () => {
  const { asked, laidOut, ends, builds, yields, built } = world();
  await yields.want(half);
  await until('it is laid out', () => laidOut.length === 1);
  laidOut[0]?.resolve();
  await until('it is slow', () => asked.length === 2);
  ends[0]?.resolve({ kind: 'lost', message: 'its supervisor was killed' });
  await until('it is laid out again', () => laidOut.length === 2);
  expect(builds.trees()).toEqual([]);
  laidOut[1]?.resolve();
  await until('it is slow again', () => asked.length === 4);
  expect(asked).toEqual(['start', 'throttle', 'start', 'throttle']);
  ends[1]?.resolve({ kind: 'exited', exitCode: 0, ranMs: 1 });
  await built;
  expect(builds.trees()).toEqual([]);
});

it('a build of an earlier agent is not out of time for having stood still meanwhile', async () => {
  // It was paused for nearly all of these 900 s; the clock of this test begins at 1,000 s.
  const { asked, clock, ends, built } = world({ startedAtMs: 100_000, timeLimitMs: 60_000 });
  await until('it is taken up', () => asked.includes('adopt') && clock.waits.includes(60_000));
  clock.advance(59_999);
  ends[0]?.resolve({ kind: 'exited', exitCode: 0, ranMs: 1 });
  expect(await built).toEqual({ folder: home });
});
