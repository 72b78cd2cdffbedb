import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { expect, onTestFinished } from 'vitest';
import { deferred } from '../../../base/deferred.ts';
import { openLog } from '../../../base/log.ts';
import { Shells } from '../../../node-agent/effects/shells.ts';
import type { HostOrder } from '../../../node-agent/executor/terminal-host/order.ts';
import type { ProcessEnd } from '../../../node-agent/ports.ts';
import { ShellStream } from '../../../node-agent/uplink/shell-stream.ts';
import type { AgentShellMessage, ShellInput } from '../../../proto/gen/labrun/v1/shell.ts';
import { aLimit } from '../../kit/an-executor.ts';
import { anAttempt } from '../../kit/attempts.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

/** Whoever has a terminal, as the head brings them: types, and goes. */
class Caller extends Duplex {
  readonly heard: AgentShellMessage[] = [];
  /** Whether they take what is said: a window that scrolls no more takes nothing. */
  takes = true;

  constructor() {
    super({ objectMode: true });
  }

  override _read(): void {}

  override _write(message: AgentShellMessage, _: unknown, taken: () => void): void {
    this.heard.push(message);
    if (this.takes) taken();
  }

  cancel(): void {
    this.destroy();
  }
}

const size = { columns: 80, rows: 24 };
const attempt = anAttempt(0).id;

/** Terminals whose processes are the test's own: `orders` are those that were started, `killed` the homes of those that were ended. */
function someShells(caller: Caller) {
  const ended = deferred<ProcessEnd>();
  const killed: string[] = [];
  const orders: HostOrder[] = [];
  const shells = new Shells({
    executor: {
      async start({ argv }) {
        orders.push(JSON.parse(argv[2] ?? '') as HostOrder); // what Shells itself has written
        return { startedAtMs: 1, ended: ended.promise };
      },
      async kill(home) {
        killed.push(home);
        ended.resolve({ kind: 'signalled', signal: 9, ranMs: 1 });
      },
      processes: async () => [],
    },
    ...{ folder: scratchFolder(), owner: undefined, log: openLog('test', 'fatal'), clock: new ManualClock() },
    isAllowed: () => true,
    changed: () => undefined,
    treesChanged: () => undefined,
    place: async (_, home) => ({ home, id: 's', argv: ['sh'], cwd: home, env: {}, limits: aLimit() }),
    // What a terminal uses of a call, a stream in memory has.
    attach: () => new ShellStream(caller as unknown as ClientDuplexStream<AgentShellMessage, ShellInput>), // as above
  });
  return { shells, killed, orders };
}

itWith('node-pty')(
  'a terminal that was stopped before it was open ends when its person has gone',
  async () => {
    const caller = new Caller();
    // It never comes to its socket: its job stands still, and it with it.
    const { shells, killed } = someShells(caller);
    shells.open({ id: 's1', attempt: undefined, size, term: 'dumb', user: 'ada', argv: [] });
    await until('it was started', () => caller.heard.some(({ message }) => message?.$case === 'started'));
    caller.push({ input: { $case: 'data', value: Buffer.from('ls\n') } });
    caller.push(null);
    await until('nothing of it is left', () => killed.length === 1 && shells.list().length === 0);
  },
  10_000,
);

itWith('node-pty')(
  'a terminal ends with its job, also when nobody takes what is said in it',
  async () => {
    const caller = new Caller();
    const { shells, killed, orders } = someShells(caller);
    shells.open({ id: 's1', attempt, size, term: 'dumb', user: 'ada', argv: [] });
    const order = await until('it was started', () => orders[0]);
    const host = connect(order.socket);
    host.on('error', () => undefined); // it is cut off in the middle of what it says
    onTestFinished(() => void host.destroy());
    caller.takes = false;
    for (let lines = 0; lines < 64; lines++) host.write(Buffer.alloc(2 ** 16, 'y'));
    await until('the stream is full', () => caller.writableNeedDrain);
    await shells.leave(attempt);
    expect(killed).toHaveLength(1);
    expect(shells.list()).toEqual([]);
  },
  10_000,
);
