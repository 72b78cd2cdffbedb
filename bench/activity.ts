import { execFileSync } from 'node:child_process';
import { openSync, writeSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { delay, systemClock } from '../base/clock.ts';
import { connectBus } from '../node-agent/presence/dbus/connection.ts';
import { isHeldBack } from '../test/kit/held-back.ts';
import { fireMutter, firstActiveWatch, idleWatch, mutterScript } from '../test/kit/mutter.ts';
import { capture, Running } from '../test/kit/processes.ts';
import { until } from '../test/kit/until.ts';
import { Cluster } from './cluster.ts';
import { Counting } from './counting.ts';
import { readOptions } from './options.ts';
import { median, printTable, verdict } from './table.ts';

/** A way in which somebody is seen to act. */
interface Source {
  readonly name: string;
  readonly limitMs: number;
  /** For how long it counts; what is seen late must do so for longer. */
  readonly idle: string;
  /** What the agent then says that it sees. */
  readonly why: RegExp;
  act(): Promise<void>;
  /** Whatever has to be done for it to be seen that nobody acts any more. */
  leave?(): Promise<void>;
}

const inherited = process.env as Record<string, string>; // the values of an environment are strings
const counters = 8;
const atOnceMs = 500;
const terminalMs = 15_000;
/** How often it is looked whether the job is slowed down, and for how long, in milliseconds. */
const lookEveryMs = 5;
const lookMaxMs = 60_000;
/** What the owner says as `onActivity`. */
const steps = ['throttle', 'pause'] as const;

/**
 * From when somebody acts to when all processes of a job are held back, where the owner wants that; and to the last that
 * any of them does, where it is to be stopped.
 */
export async function benchActivity(options: readonly string[]): Promise<boolean> {
  const { rounds } = readOptions(options, { rounds: 5 });
  console.log(`from activity to all slowed down, and to all stopped, of ${rounds} rounds, ${cpus().length} cores\n`);
  const cluster = new Cluster();
  const started: Running[] = [];
  const run = (argv: readonly string[], typed = false, env = inherited) => {
    const running = new Running(argv, { typed, env });
    started.push(running);
    return running;
  };
  try {
    await cluster.startHead();
    const keys = join(cluster.folder, 'keys');
    execFileSync('mkfifo', [keys]);
    const policy = { idle: { resume: '1s', newWork: '1s' } };
    await cluster.startAgent('n1', 1, { watched: true, settings: { desk: { inputDevices: [keys], policy } } });
    const counting = new Counting(cluster, counters);
    await counting.start(counters);
    const rows: string[][] = [];
    let kept = true;
    for (const open of [inputStream(keys), display, mutter, terminal]) {
      const source = await open({ cluster, run });
      const shown: string[] = [];
      let longest = 0;
      for (const step of steps) {
        await setPolicy(cluster, step, source.idle);
        const readings: number[] = [];
        for (let round = 0; round < rounds; round++) readings.push(await readingOf(counting, source, step));
        longest = Math.max(longest, ...readings);
        shown.push(...[median(readings), Math.max(...readings)].map((ms) => `${ms.toFixed(0)} ms`));
      }
      kept &&= longest <= source.limitMs;
      rows.push([source.name, ...shown, `${source.limitMs} ms ${verdict(longest, source.limitMs)}`]);
    }
    printTable(['seen by', 'slowed down', 'longest', 'stopped', 'longest', 'limit'], rows);
    await counting.cancel();
    return kept;
  } finally {
    await Promise.all(started.map((running) => running.stop()));
    await cluster.close();
  }
}

async function readingOf(counting: Counting, source: Source, wanted: (typeof steps)[number]): Promise<number> {
  await counting.untilState('nobody is there', ({ step }) => step === 'none');
  await until('nothing is held back', () => !counting.pids().some(isHeldBack));
  await counting.counts();
  const atMs = Date.now();
  const [heldBackMs] = await Promise.all([
    wanted === 'throttle' ? allHeldBackMs(counting.pids()) : undefined,
    seenBy(counting, source, wanted),
  ]);
  const tookMs = (heldBackMs ?? counting.lastCountMs()) - atMs;
  await source.leave?.();
  return tookMs;
}

async function seenBy(counting: Counting, source: Source, wanted: (typeof steps)[number]): Promise<void> {
  await source.act();
  await counting.untilState(
    `${wanted} by ${source.name}`,
    ({ step, presence, jobs }) =>
      step === wanted &&
      source.why.test(presence?.why ?? '') &&
      (wanted === 'throttle' || jobs.every(({ state }) => state === 'paused')),
  );
}

/** When they were first seen held back, all of them, on the wall clock in milliseconds; by the kernel's own word. */
async function allHeldBackMs(pids: readonly number[]): Promise<number> {
  const untilMs = performance.now() + lookMaxMs;
  while (!pids.every(isHeldBack)) {
    if (performance.now() > untilMs) throw new Error(`Waited ${lookMaxMs} ms in vain: the job is slowed down`);
    await delay(systemClock, lookEveryMs);
  }
  return Date.now();
}

async function setPolicy(cluster: Cluster, onActivity: string, idle: string): Promise<void> {
  const policy = { onActivity, idle: { resume: idle, newWork: idle } };
  const file = cluster.write('policy', { 'labrun.yaml': JSON.stringify(policy) });
  await cluster.labrun('desk', 'policy', 'set', file, '--data', cluster.agentFolder('n1'));
}

/** What opening a source needs. */
interface Around {
  readonly cluster: Cluster;
  run(argv: readonly string[], typed?: boolean, env?: Record<string, string>): Running;
}

/** A keyboard's events, through a FIFO. */
function inputStream(path: string): (around: Around) => Promise<Source> {
  const event = Buffer.alloc(24);
  event.writeUInt16LE(1, 16); // a key
  // Open for as long as this process: whoever reads it must not see its end.
  const file = openSync(path, 'r+');
  return async () => ({
    name: 'input events',
    limitMs: atOnceMs,
    idle: '1s',
    why: /^input: /,
    async act() {
      writeSync(file, event);
    },
  });
}

/** A display, whose idle time the helper in its session reads; with the program that presses the key. */
async function display({ cluster, run }: Around): Promise<Source> {
  const server = run(['Xvfb', '-displayfd', '2', '-screen', '0', '640x480x8', '-ac']);
  const env = { DISPLAY: `:${await server.line(/^\d+$/)}` };
  cluster.follow(env, 'desk', 'helper', '--data', cluster.agentFolder('n1'));
  return {
    name: 'X11',
    limitMs: atOnceMs,
    idle: '1s',
    why: /x11 :\d+: /,
    async act() {
      const { code, stderr } = await capture(['xdotool', 'key', 'a'], { env: { ...inherited, ...env } });
      if (code !== 0) throw new Error(`xdotool ended with ${code}: ${stderr}`);
    },
  };
}

/** Mutter's own signal, by a mock of its interface. */
async function mutter({ cluster, run }: Around): Promise<Source> {
  const address = `unix:path=${join(cluster.folder, 'bus')}`;
  await run(['dbus-daemon', '--session', '--nofork', '--print-address=1', `--address=${address}`]).line(/^unix:/);
  const env = { ...inherited, DBUS_SESSION_BUS_ADDRESS: address };
  await run(['/usr/bin/python3', '-u', '-c', mutterScript(60_000)], false, env).line(/ready/);
  const helper = ['desk', 'helper', '--data', cluster.agentFolder('n1')];
  cluster.follow({ DBUS_SESSION_BUS_ADDRESS: address, DISPLAY: '' }, ...helper);
  const bus = await connectBus({ clock: systemClock, address, uid: process.getuid?.() ?? 0, signal: () => undefined });
  let watch = firstActiveWatch;
  return {
    name: 'Mutter',
    limitMs: atOnceMs,
    idle: '1s',
    why: /mutter: /,
    act: () => fireMutter(bus, watch++),
    leave: () => fireMutter(bus, idleWatch),
  };
}

/** A terminal, whose time the kernel moves on in steps of 8 s, and which is looked at every 5 s. */
async function terminal({ run }: Around): Promise<Source> {
  const typed = run(['script', '--quiet', '--flush', '--command', 'cat', '/dev/null'], true);
  return {
    name: 'terminals',
    limitMs: terminalMs,
    idle: '15s',
    why: /^terminals: /,
    async act() {
      typed.write('a line\n');
    },
  };
}
