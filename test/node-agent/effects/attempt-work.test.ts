import { expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { deferred } from '../../../base/deferred.ts';
import { Fault, RefusedError, refused } from '../../../base/errors.ts';
import { openLog } from '../../../base/log.ts';
import { systemRandom } from '../../../base/random.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import type { Attempt, Finish, Outcome } from '../../../node-agent/attempts/attempt.ts';
import type { AttemptEvent } from '../../../node-agent/attempts/event.ts';
import { AttemptWork, type WorkPorts } from '../../../node-agent/effects/attempt-work.ts';
import type { ProcessEnd, RunningProcess } from '../../../node-agent/ports.ts';
import { HeadRoom } from '../../../node-agent/uplink/head-room.ts';
import { aBatchSpec, aJobOrder } from '../../kit/a-job-order.ts';
import { anAttempt } from '../../kit/attempts.ts';
import { idleExecutor } from '../../kit/idle-executor.ts';
import { plainWorkspace } from '../../kit/plain-workspace.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

const well: Outcome = { state: 'succeeded', reason: '', message: '', exitCode: 0, signal: undefined, ranMs: 5 };
const whole: Finish = { outcome: well, manifestHash: hashBytes('all of it'), inline: undefined };
const over = { startedAtMs: 1, endedAtMs: 2 };
const archiving = anAttempt(0, { kind: 'archiving', ...over, ending: { kind: 'exited', exitCode: 0, ranMs: 5 } });
const ended = anAttempt(0, { kind: 'ended', ...over, ...whole });
const order = aJobOrder(aBatchSpec());
const located = { order, buildDigest: '', timeLimitMs: 0, capabilities: [] };
const lacking: Outcome = { ...well, state: 'failed', reason: 'archive-failed', message: 'Cannot archive "a": gone' };

/** The work on an attempt where all goes well but for what the test says, and what it has told. */
function workOn(attempt: Attempt, parts: Partial<WorkPorts> = {}) {
  const events: AttemptEvent[] = [];
  const ports: WorkPorts = {
    ...{ clock: systemClock, random: systemRandom, log: openLog('agent', 'silent'), killGraceMs: 1 },
    executor: idleExecutor,
    workspace: plainWorkspace(scratchFolder()),
    closing: new AbortController().signal,
    capabilities: () => ({}),
    written: async () => undefined,
    durableSoon: async () => undefined,
    durableOrStuck: async () => undefined,
    lease: { isValid: true, valid: async () => undefined },
    specs: { order: async () => located },
    builds: { ensure: async () => undefined, release: () => undefined },
    blobs: { obtain: async () => '', release: () => undefined, shed: () => undefined },
    disk: { watch: () => ({ close: () => undefined }), explain: async (_home, _limit, end) => end },
    link: {
      room: new HeadRoom(systemClock, systemRandom),
      open: () => Promise.reject(new Error('nothing is sent here')),
      staged: () => Promise.reject(new Error('nothing is asked here')),
    },
    sweep: async () => whole,
    travel: () => ({ close: async () => undefined }),
    ...parts,
  };
  const work = new AttemptWork(
    ports,
    attempt,
    () => true,
    (event) => events.push(event),
  );
  return { work, events };
}

it('keeps what a job left until its batch can be read again', async () => {
  let tries = 0;
  const specs: WorkPorts['specs'] = {
    async order() {
      if (++tries < 3) throw new Fault('disk-full', 'Cannot fetch the batch: the disk is full');
      return located;
    },
  };
  const { work, events } = workOn(archiving, { specs });
  work.archive(archiving);
  await work.idle();
  expect(events).toEqual([{ kind: 'archived', finish: whole }]);
});

it('keeps a job that it takes up to its limits as soon as its batch can be read', async () => {
  let tries = 0;
  const specs: WorkPorts['specs'] = {
    async order() {
      if (++tries < 3) throw new Fault('disk-full', 'Cannot fetch the batch: the disk is full');
      return { ...located, timeLimitMs: 1 };
    },
  };
  const running = { startedAtMs: systemClock.nowMs() - 1_000, ended: new Promise<ProcessEnd>(() => undefined) };
  const assigned = anAttempt(0);
  const { work, events } = workOn(assigned, { specs, executor: { ...idleExecutor, adopt: async () => running } });
  await work.adopt(assigned);
  await until('its time is over', () => events.some(({ kind }) => kind === 'time-over'));
  await work.close();
});

it('says so when what it is to send again cannot be kept any more', async () => {
  const rest: Finish = { ...whole, manifestHash: hashBytes('the rest'), outcome: lacking };
  const { work, events } = workOn(ended, { sweep: async () => rest });
  work.resend(ended, []);
  await work.idle();
  const { state, reason, message } = lacking;
  expect(events).toEqual([{ kind: 'archived', finish: { ...rest, outcome: { ...well, state, reason, message } } }]);
});

it('tells the end, and goes on, when nothing of it can be sent again', async () => {
  const refusal = new RefusedError(refused('limit', 'too many files'));
  const { work, events } = workOn(ended, { sweep: () => Promise.reject(refusal) });
  work.resend(ended, []);
  await work.idle();
  expect(events).toMatchObject([
    { kind: 'archived', finish: { outcome: { state: 'failed', reason: 'archive-failed', message: 'too many files' } } },
  ]);
});

it('begins to send nothing of a job that started while the agent was stopping', async () => {
  const closing = new AbortController();
  const starting = deferred<RunningProcess>();
  const asked = deferred<void>();
  const start = () => {
    asked.resolve();
    return starting.promise;
  };
  let travels = 0;
  const travel = () => {
    travels += 1;
    return { close: async () => undefined };
  };
  const staged = anAttempt(0, { kind: 'starting' });
  const { work } = workOn(staged, {
    closing: closing.signal,
    executor: { ...idleExecutor, start },
    travel,
  });
  work.stage(staged);
  work.launch(staged);
  await asked.promise;
  closing.abort(new Error('the agent is stopping'));
  const closed = work.close();
  starting.resolve({ startedAtMs: 1, ended: new Promise(() => undefined) });
  await closed;
  expect(travels).toBe(0);
});

it('looks at what a job left, and removes it, only when nothing writes there from a terminal any more', async () => {
  for (const attempt of [archiving, anAttempt(0, { kind: 'wiping' })]) {
    const left = deferred<void>();
    const asked = deferred<void>();
    const leave = () => {
      asked.resolve();
      return left.promise;
    };
    const { work, events } = workOn(attempt, { shells: { leave } });
    if (attempt === archiving) work.archive(attempt);
    else work.wipe(attempt);
    await asked.promise;
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([]);
    left.resolve();
    await work.idle();
    expect(events).toHaveLength(1);
  }
});

it('tells how a job ended also where no descriptor is left for a look at its disk', async () => {
  let tries = 0;
  const end: ProcessEnd = { kind: 'exited', exitCode: 7, ranMs: 5 };
  const disk: WorkPorts['disk'] = {
    watch: () => ({ close: () => undefined }),
    async explain() {
      if (++tries < 3) throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
      return end;
    },
  };
  const running = { startedAtMs: 1, ended: Promise.resolve(end) };
  const assigned = anAttempt(0);
  const { work, events } = workOn(assigned, { disk, executor: { ...idleExecutor, adopt: async () => running } });
  await work.adopt(assigned);
  await until('the end is told', () => events.some(({ kind }) => kind === 'exited'));
  expect(events.at(-1)).toEqual({ kind: 'exited', end });
  await work.close();
});
