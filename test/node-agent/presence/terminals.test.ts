import { chmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { remoteMark } from '../../../node-agent/executor/terminal.ts';
import { terminals } from '../../../node-agent/presence/terminals.ts';
import { Heard } from '../../kit/heard.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { capture } from '../../kit/processes.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

itWith('tmux')(
  'typing into a terminal is noticed, and what a program prints there never is',
  async () => {
    const folder = scratchFolder();
    const tmux = async (...args: string[]) => {
      const { code, stdout, stderr } = await capture([
        'tmux',
        '-S',
        join(folder, 'socket'),
        '-f',
        '/dev/null',
        ...args,
      ]);
      if (code !== 0) throw new Error(`tmux ${args[0]} ended with ${code}: ${stderr}`);
      return stdout.trim();
    };
    onTestFinished(async () => void (await tmux('kill-server')));
    await tmux('new-session', '-d', '-s', 'job', 'while :; do echo progress; sleep 0.5; done');
    await tmux('new-session', '-d', '-s', 'person', 'cat');
    const [job, person] = await Promise.all(
      ['job', 'person'].map((name) => tmux('display-message', '-p', '-t', name, '#{pane_tty}')),
    );
    const heard = Heard.of(
      terminals({ clock: systemClock, wallMs: () => systemClock.nowMs(), jobUids: [], folder: '/dev' }),
    );
    const beganMs = systemClock.sinceBootMs();
    // The kernel moves the time on once in 8 s, however much is typed.
    await until(
      'the keys are noticed',
      async () => {
        await tmux('send-keys', '-t', 'person', 'x', 'Enter');
        const now = heard.now('terminals');
        return now?.kind === 'idle' && now.detail.startsWith(`${person} of`) && now.lastActiveMs > beganMs;
      },
      45_000, // a busy machine is late with each of the tries
    );
    expect(heard.said.some(({ seen }) => JSON.stringify(seen).includes(`${job} of`))).toBe(false);
  },
  60_000,
);

describe('the times of terminals', () => {
  it('say nothing of a person while they stand still, whatever is done to the clock', () => {
    const world = aWorld();
    world.touch('pts/4', -20_000);
    world.start();
    const first = world.lastMs();
    expect(first).toBe(world.clock.sinceBootMs() - 20_000);
    world.shiftMs = -3_600_000; // the wall clock is set back
    world.clock.advance(5_000);
    expect(world.lastMs()).toBe(first);
    world.touch('pts/7', 0);
    world.clock.advance(5_000);
    expect(world.lastMs()).toBe(world.clock.sinceBootMs() - 5_000);
    world.shiftMs = 86_400_000; // and far ahead: what moved since the last look was used since the last look
    world.clock.advance(5_000);
    world.touch('pts/7', -80_000_000);
    world.clock.advance(5_000);
    expect(world.lastMs()).toBe(world.clock.sinceBootMs() - 13_000);
  });

  it('are those of the clock on the wall, though it was set since the agent began', () => {
    const world = aWorld();
    world.start();
    world.shiftMs = -3_600_000;
    world.touch('pts/7', -2_000);
    world.clock.advance(5_000);
    expect(world.lastMs()).toBe(world.clock.sinceBootMs() - 7_000);
  });

  it('of jobs, of times before the start, and of consoles nobody has used are not looked at', () => {
    const world = aWorld();
    world.touch('pts/1', -2_000_000); // the clock of this world began 1,000 s ago
    writeFileSync(join(world.folder, 'tty1'), '');
    writeFileSync(join(world.folder, 'pts/ptmx'), '');
    world.start();
    expect(world.heard.now('terminals')).toMatchObject({ kind: 'absent' });
    world.touch('pts/2', -1_000);
    world.clock.advance(5_000);
    expect(world.heard.now('terminals')).toMatchObject({ kind: 'idle' });
    const uid = process.getuid?.() ?? 0;
    const jobs = aWorld([uid]);
    jobs.touch('pts/2', -1_000);
    jobs.start();
    expect(jobs.heard.now('terminals')).toMatchObject({ kind: 'absent' });
  });

  it('of "labrun shell" are nobody\'s: whoever types there sits elsewhere', () => {
    const world = aWorld();
    world.touch('pts/2', -1_000);
    chmodSync(join(world.folder, 'pts/2'), 0o600 | remoteMark);
    world.start();
    expect(world.heard.now('terminals')).toMatchObject({ kind: 'absent' });
    chmodSync(join(world.folder, 'pts/2'), 0o600);
    world.clock.advance(5_000);
    expect(world.heard.now('terminals')).toMatchObject({ kind: 'idle' });
  });

  it("of instruments on serial lines, which programs read all day, are nobody's; of a login there they are", () => {
    const world = aWorld();
    world.shiftMs = systemClock.nowMs() - world.wallMs() + 60_000; // read after it was made, which no test can set
    for (const line of ['ttyS0', 'ttyUSB0', 'ttyAMA0']) {
      world.touch(line, -1_000);
      chmodSync(join(world.folder, line), 0o660);
    }
    world.start();
    expect(world.heard.now('terminals')).toMatchObject({ kind: 'absent' });
    chmodSync(join(world.folder, 'ttyUSB0'), 0o620);
    world.clock.advance(5_000);
    expect(world.heard.now('terminals')).toMatchObject({ kind: 'idle', detail: expect.stringContaining('ttyUSB0') });
  });

  it('are looked at every 5 s, and no more once it is closed', async () => {
    const world = aWorld();
    const signal = world.start();
    expect(world.clock.waits).toEqual([5_000]);
    await signal.close();
    expect(world.clock.waits).toEqual([]);
  });

  it('that cannot be read are a failure that is told', () => {
    const world = aWorld();
    writeFileSync(join(world.folder, 'file'), '');
    const heard = new Heard();
    terminals({ clock: world.clock, wallMs: world.wallMs, jobUids: [], folder: join(world.folder, 'file') }).start(
      heard.tell,
    );
    expect(heard.now('terminals')).toMatchObject({ kind: 'failed', why: expect.stringContaining('ENOTDIR') });
  });
});

/** A folder in place of /dev, and a clock whose wall time a test sets. */
function aWorld(jobUids: readonly number[] = []) {
  const folder = scratchFolder();
  mkdirSync(join(folder, 'pts'));
  const clock = new ManualClock();
  const heard = new Heard();
  const world = {
    folder,
    clock,
    heard,
    shiftMs: 0,
    touch(name: string, ageMs: number) {
      writeFileSync(join(folder, name), '');
      const at = (world.wallMs() + ageMs) / 1_000;
      utimesSync(join(folder, name), at, at);
    },
    wallMs: () => clock.nowMs() + wall(),
    start() {
      const signal = terminals({ clock, wallMs: world.wallMs, jobUids, folder });
      signal.start(heard.tell);
      return signal;
    },
    lastMs() {
      const now = heard.now('terminals');
      return now?.kind === 'idle' ? now.lastActiveMs : Number.NaN;
    },
  };
  const wall = () => 1_700_000_000_000 + world.shiftMs;
  return world;
}
