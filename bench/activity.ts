import { execFileSync } from 'node:child_process';
import { openSync, writeSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { connectBus } from '../node-agent/presence/dbus/connection.ts';
import { fireMutter, firstActiveWatch, idleWatch, mutterScript } from '../test/kit/mutter.ts';
import { capture, Running } from '../test/kit/processes.ts';
import { Cluster } from './cluster.ts';
import { Counting } from './counting.ts';
import { readOptions } from './options.ts';
import { median, printTable, verdict } from './table.ts';

/** A way in which somebody is seen to act. */
interface Source {
  readonly name: string;
  readonly limitMs: number;
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

/** From when somebody acts to the last that any process of a job does, where the owner has said `onActivity: pause`. */
export async function benchActivity(options: readonly string[]): Promise<boolean> {
  const { rounds } = readOptions(options, { rounds: 5 });
  console.log(`from activity to all stopped, median (and longest) of ${rounds} rounds, ${cpus().length} cores\n`);
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
    const policy = { onActivity: 'pause', idle: { resume: '1s', newWork: '1s' } };
    await cluster.startAgent('n1', 1, { watched: true, settings: { desk: { inputDevices: [keys], policy } } });
    const counting = new Counting(cluster, counters);
    await counting.start(counters);
    const rows: string[][] = [];
    let kept = true;
    for (const open of [inputStream(keys), display, mutter, terminal]) {
      const source = await open({ cluster, run });
      const readings: number[] = [];
      for (let round = 0; round < rounds; round++) readings.push(await readingOf(counting, source));
      const [middle, longest] = [median(readings), Math.max(...readings)];
      kept &&= longest <= source.limitMs;
      const shown = [middle, longest].map((ms) => `${ms.toFixed(0)} ms`);
      rows.push([source.name, ...shown, `${source.limitMs} ms ${verdict(longest, source.limitMs)}`]);
    }
    printTable(['seen by', 'median', 'longest', 'limit'], rows);
    await counting.cancel();
    return kept;
  } finally {
    await Promise.all(started.map((running) => running.stop()));
    await cluster.close();
  }
}

async function readingOf(counting: Counting, source: Source): Promise<number> {
  await counting.untilState('nobody is there', ({ step }) => step === 'none');
  await counting.counts();
  const atMs = Date.now();
  await source.act();
  await counting.untilState(
    `stopped by ${source.name}`,
    ({ step, presence, jobs }) =>
      step === 'pause' && source.why.test(presence?.why ?? '') && jobs.every(({ state }) => state === 'paused'),
  );
  const tookMs = counting.lastCountMs() - atMs;
  await source.leave?.();
  return tookMs;
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
    why: /mutter: /,
    act: () => fireMutter(bus, watch++),
    leave: () => fireMutter(bus, idleWatch),
  };
}

/** A terminal, whose time the kernel moves on in steps of 8 s, and which is looked at every 5 s. */
async function terminal({ cluster, run }: Around): Promise<Source> {
  // What is seen so late must count for as long.
  const policy = { onActivity: 'pause', idle: { resume: '15s', newWork: '15s' } };
  const file = cluster.write('policy', { 'labrun.yaml': JSON.stringify(policy) });
  await cluster.labrun('desk', 'policy', 'set', file, '--data', cluster.agentFolder('n1'));
  const typed = run(['script', '--quiet', '--flush', '--command', 'cat', '/dev/null'], true);
  return {
    name: 'terminals',
    limitMs: terminalMs,
    why: /^terminals: /,
    async act() {
      typed.write('a line\n');
    },
  };
}
