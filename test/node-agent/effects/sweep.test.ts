import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { openLog } from '../../../base/log.ts';
import { systemRandom } from '../../../base/random.ts';
import { hashFile } from '../../../base/transfer/hash.ts';
import type { Ending } from '../../../node-agent/attempts/attempt.ts';
import { sweep } from '../../../node-agent/effects/sweep.ts';
import { HeadRoom } from '../../../node-agent/uplink/head-room.ts';
import { ArchiveSender } from '../../../node-agent/uplink/send-archive.ts';
import { aBatchSpec, aJobOrder } from '../../kit/a-job-order.ts';
import { aFence } from '../../kit/attempts.ts';
import { plainWorkspace } from '../../kit/plain-workspace.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const well: Ending = { kind: 'exited', exitCode: 0, ranMs: 5 };
const never = new AbortController().signal;

/** A job that has run, and the folder that is its own. */
function aJob() {
  const workspace = plainWorkspace(join(scratchFolder(), 'attempts'));
  const order = aJobOrder(aBatchSpec());
  const home = workspace.homeOf(order.id);
  return { workspace, order, home };
}

function sweepOf(job: ReturnType<typeof aJob>, ending: Ending) {
  const link = {
    room: new HeadRoom(systemClock, systemRandom),
    open: () => Promise.reject(new Error('what is so small travels in the report')),
    staged: () => Promise.reject(new Error('nothing is asked here')),
  };
  const ports = { link, clock: systemClock, random: systemRandom, log: openLog('agent', 'silent') };
  const sender = new ArchiveSender(ports, aFence());
  return sweep({ ...job, sender, ending, timeLimitMs: 0, started: true }, never);
}

it('does not call a job well done whose folder was removed under it', async () => {
  const job = aJob();
  const collect = async () => ({ files: [], missing: [], problems: [] });
  const bare = { ...job, workspace: { ...job.workspace, collect } };
  const { outcome } = await sweepOf(bare, well);
  expect(outcome).toMatchObject({
    state: 'failed',
    reason: 'archive-failed',
    message: expect.stringContaining('gone'),
  });
  const killed = await sweepOf(bare, { kind: 'signalled', signal: 9, ranMs: 5 });
  expect(killed.outcome).toMatchObject({ state: 'failed', reason: 'signal', message: expect.stringContaining('gone') });
});

it('keeps all else when the log cannot be read', async () => {
  const job = aJob();
  // Under another path than the one that was meant nothing is read.
  const real = join(scratchFolder(), 'elsewhere');
  mkdirSync(join(real, 'archive'), { recursive: true });
  symlinkSync(real, job.home);
  writeFileSync(join(real, 'log'), 'a line\n');
  const result = join(real, 'archive', 'result');
  writeFileSync(result, 'all that was worth it');
  const file = {
    ...{ path: 'result', kind: 'file' as const, source: result, sizeBytes: 21, mode: 0o644 },
    ...{ hash: await hashFile(result), linkTarget: undefined },
  };
  const collect = async () => ({ files: [file], missing: [], problems: [] });
  const { outcome, inline } = await sweepOf({ ...job, workspace: { ...job.workspace, collect } }, well);
  expect(inline?.files.map(({ path }) => path)).toEqual(['archive/result']);
  expect(outcome).toMatchObject({ reason: 'archive-failed', message: expect.stringContaining('.labrun/log') });
});

it('looks again when a file changed after it was looked at, and keeps what is there then', async () => {
  const job = aJob();
  mkdirSync(join(job.home, 'archive'), { recursive: true });
  writeFileSync(join(job.home, 'log'), '');
  const result = join(job.home, 'archive', 'result');
  writeFileSync(result, 'at first');
  let looks = 0;
  const collect = async () => {
    const found = await job.workspace.collect(job.order);
    if (++looks === 1) writeFileSync(result, 'at last.');
    return found;
  };
  const { outcome, inline } = await sweepOf({ ...job, workspace: { ...job.workspace, collect } }, well);
  expect(outcome.state).toBe('succeeded');
  expect(inline?.files.map(({ data }) => Buffer.from(data).toString())).toContain('at last.');
});
