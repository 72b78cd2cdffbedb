import { execFileSync } from 'node:child_process';
import { chownSync, closeSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { FreezingName } from '../../node-agent/ports.ts';
import type { DeskState } from '../../proto/gen/labrun/v1/desk.ts';
import { type CountingLab, countingLab } from '../kit/counting-lab.ts';
import { atOnceMs } from '../kit/heard.ts';
import { isHeldBack } from '../kit/held-back.ts';
import type { Lab } from '../kit/lab.ts';
import { startMessageBus } from '../kit/message-bus.ts';
import { fireMutter, firstActiveWatch, idleWatch, startMutter } from '../kit/mutter.ts';
import type { Running, User } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { itWith, plainUser } from '../kit/real-parts.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { until } from '../kit/until.ts';
import { authorityEntry, startXServer } from '../kit/x-server.ts';

/** Whatever else is the default: soon, so that these tests are short. */
const soon = 'idle: {resume: 2s, newWork: 3s}';
/** Other tests may type into terminals of this machine, which is then in use for as long. */
const quietMs = 90_000;
/** How far moments may lie apart that were told by two clocks. */
const clocksMs = 500;

itWith('x11')(
  "a key at a display slows jobs down, or stops them where its owner says so, told by that session's helper",
  async () => {
    const counting = await watched();
    const { lab } = counting;
    const authorityPath = join(scratchFolder(), 'authority');
    writeFileSync(authorityPath, authorityEntry(hostname(), ''));
    const display = await startXServer({ authorityPath });
    const own = `x11 :${display.number}`;
    const why = new RegExp(`^helper .*${own}: `);

    // Nobody can see who is at that display, until its helper can.
    await counting.untilState('a display without helper counts as used', ({ presence }) =>
      Boolean(presence?.signals.some(({ name, verdict }) => name === own && verdict === 'unknown')),
    );
    expect(await counting.state()).toMatchObject({ takesJobs: false });
    startHelper(lab, { DISPLAY: `:${display.number}`, XAUTHORITY: authorityPath });

    const key = () => display.use('key', 'a');
    await slowsDown(counting, key, why);
    await setPolicy(counting, `onActivity: pause\n${soon}`);
    expect(await stops(counting, key, why)).toBeLessThan(atOnceMs);
    await goesOn(counting);
    await counting.end();
  },
  240_000,
);

itWith('plain user', 'x11')(
  'keys of an input device and at a display stop jobs of an ordinary user',
  async () => {
    const user = plainUser();
    const keys = inputStream(user);
    const counting = await watched({ user, inputDevices: [keys.path] });
    if (user) expect(await counting.state()).toMatchObject({ freezing: 'stop' });
    const press = async () => keys.press();
    await slowsDown(counting, press, /^input: /);
    await setPolicy(counting, `onActivity: pause\n${soon}`);
    expect(await stops(counting, press, /^input: /)).toBeLessThan(atOnceMs);

    await stopsAtClick(counting);
    await counting.end();
  },
  240_000,
);

itWith('cgroup-v1 freezer', 'x11')(
  'a click at a display stops jobs by the freezer of version 1, where an admin wants that',
  async () => {
    const counting = await watched({ freezing: 'cgroup-v1' });
    expect(await counting.state()).toMatchObject({ freezing: 'cgroup-v1' });
    await setPolicy(counting, `onActivity: pause\n${soon}`);
    await stopsAtClick(counting);
    await counting.end();
  },
  240_000,
);

itWith('dbusmock')(
  'Mutter tells the helper of a session that somebody acts, and jobs slow down or stop',
  async () => {
    const counting = await watched();
    const bus = await startMessageBus();
    await startMutter(bus, 60_000);
    startHelper(counting.lab, { DBUS_SESSION_BUS_ADDRESS: bus.address });
    await counting.untilState('the helper tells of Mutter', ({ presence }) =>
      Boolean(presence?.signals.some(({ name, verdict }) => name.endsWith('mutter') && verdict === 'idle')),
    );
    const mutter = await bus.connect();
    let watch = firstActiveWatch;
    const act = () => fireMutter(mutter, watch++);
    const leave = () => fireMutter(mutter, idleWatch);
    await slowsDown(counting, act, /^helper .*mutter: /);
    await leave();
    await setPolicy(counting, `onActivity: pause\n${soon}`);
    expect(await stops(counting, act, /^helper .*mutter: /)).toBeLessThan(atOnceMs);
    await leave();
    await goesOn(counting);
    await counting.end();
  },
  240_000,
);

/** A job that runs on a machine where somebody may come; `inputDevices`: in place of those it has. */
async function watched(
  options: {
    readonly user?: User | undefined;
    readonly inputDevices?: readonly string[];
    readonly freezing?: FreezingName;
  } = {},
): Promise<CountingLab> {
  const { user, freezing = 'auto', ...own } = options;
  const desk = { ...own, policy: { idle: { resume: '2s', newWork: '3s' } } };
  return countingLab({ agent: { watched: true, settings: { freezing, desk } }, user });
}

async function setPolicy(counting: CountingLab, text: string): Promise<void> {
  const file = join(counting.lab.write('policy', { 'policy.yaml': text }), 'policy.yaml');
  counting.lab.must(await counting.desk('desk', 'policy', 'set', file));
}

/** With nobody there. */
async function goesOn(counting: CountingLab): Promise<void> {
  await counting.untilState('jobs go on', ({ step }) => step === 'none', quietMs);
  await counting.countsOn();
  await until('nothing holds them back', () => !counting.pids().some(isHeldBack));
}

async function slowsDown(counting: CountingLab, act: () => Promise<void>, why: RegExp): Promise<void> {
  await goesOn(counting);
  const atMs = Date.now();
  await act();
  await counting.untilState(
    `slowed down: ${why}`,
    (state) => state.step === 'throttle' && state.cause === 'activity' && hasSeen(state, why, atMs),
  );
  await until('each of them is held back', () => counting.pids().every(isHeldBack));
  await counting.countsOn();
}

/** From when somebody acts to when the job has counted last, in milliseconds. */
async function stops(counting: CountingLab, act: () => Promise<void>, why: RegExp): Promise<number> {
  await goesOn(counting);
  const atMs = Date.now();
  await act();
  await counting.untilState(
    `stopped: ${why}`,
    (state) =>
      state.step === 'pause' &&
      state.cause === 'activity' &&
      hasSeen(state, why, atMs) &&
      state.jobs.every((job) => job.state === 'paused'),
    quietMs,
  );
  await counting.standsStill();
  return counting.lastCountMs() - atMs;
}

/** At a display that lets everybody in, so that the agent reads it itself. When it is gone, jobs go on. */
async function stopsAtClick(counting: CountingLab): Promise<void> {
  const display = await startXServer();
  const click = () => display.use('click', '1');
  expect(await stops(counting, click, new RegExp(`^x11 :${display.number}: `))).toBeLessThan(atOnceMs);
  await display.stop();
  await goesOn(counting);
}

/**
 * Whether this signal has noticed somebody since then. Others may have, too: there are displays and terminals of other
 * tests on this machine, so that the one that decides is any of them.
 */
function hasSeen({ presence }: DeskState, signal: RegExp, sinceMs: number): boolean {
  return (presence?.signals ?? []).some(
    ({ name, detail, lastActivityMs = 0n }) =>
      signal.test(`${name}: ${detail}`) && Number(lastActivityMs) > sinceMs - clocksMs,
  );
}

/** The helper, as it runs in a desktop session with this environment. */
function startHelper(lab: Lab, session: Readonly<Record<string, string>>): Running {
  const { DISPLAY: _, WAYLAND_DISPLAY: __, XDG_RUNTIME_DIR: ___, ...env } = lab.env;
  const command = [process.execPath, program, 'desk', 'helper', '--data', lab.agentFolder('n1')];
  return lab.run(command, { ...env, ...session });
}

/** A keyboard whose keys come through a FIFO. */
function inputStream(user: User | undefined): { readonly path: string; press(): void } {
  const path = join(tmpdir(), `keys-${process.pid}`);
  execFileSync('mkfifo', [path]);
  if (user) chownSync(path, user.uid, user.gid);
  const file = openSync(path, 'r+');
  onTestFinished(() => {
    closeSync(file);
    rmSync(path);
  });
  const event = Buffer.alloc(24);
  event.writeUInt16LE(1, 16); // a key
  return { path, press: () => void writeSync(file, event) };
}
