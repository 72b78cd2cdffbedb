import { Duplex } from 'node:stream';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { deferred } from '../../../base/deferred.ts';
import { openLog } from '../../../base/log.ts';
import { Shells } from '../../../node-agent/effects/shells.ts';
import type { ProcessEnd } from '../../../node-agent/ports.ts';
import { ShellStream } from '../../../node-agent/uplink/shell-stream.ts';
import type { AgentShellMessage, ShellInput } from '../../../proto/gen/labrun/v1/shell.ts';
import { aLimit } from '../../kit/an-executor.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

/** Whoever has a terminal, as the head brings them: types, and goes. */
class Caller extends Duplex {
  readonly heard: AgentShellMessage[] = [];

  constructor() {
    super({ objectMode: true });
  }

  override _read(): void {}

  override _write(message: AgentShellMessage, _: unknown, taken: () => void): void {
    this.heard.push(message);
    taken();
  }

  cancel(): void {
    this.destroy();
  }
}

itWith('node-pty')(
  'a terminal that was stopped before it was open ends when its person has gone',
  async () => {
    const caller = new Caller();
    const ended = deferred<ProcessEnd>();
    const killed: string[] = [];
    const shells = new Shells({
      executor: {
        // It never comes to its socket: its job stands still, and it with it.
        start: async () => ({ startedAtMs: 1, ended: ended.promise }),
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
    const size = { columns: 80, rows: 24 };
    shells.open({ id: 's1', attempt: undefined, size, term: 'dumb', user: 'ada', argv: [] });
    await until('it was started', () => caller.heard.some(({ message }) => message?.$case === 'started'));
    caller.push({ input: { $case: 'data', value: Buffer.from('ls\n') } });
    caller.push(null);
    await until('nothing of it is left', () => killed.length === 1 && shells.list().length === 0);
  },
  10_000,
);
