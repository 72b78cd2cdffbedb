import type { Executor, ProcessEnd, RunningProcess } from '../../node-agent/ports.ts';
import type { SimMachine, SimProcess, SimProgram } from './sim-machine.ts';

/** What an agent's processes need of the agent. */
export interface SimExecutorPorts {
  readonly machine: SimMachine;
  /** Whether the agent has not been killed. */
  isAlive(): boolean;
  /** Work that takes a while, and never comes back to an agent that was killed. */
  takes(leastMs: number, mostMs: number): Promise<void>;
  /** What is started in this home now. */
  programFor(home: string): SimProgram;
}

/** Processes on a simulated machine, which outlive the agent: the twin of `node-agent/executor/executor.ts`. */
export function simExecutor(ports: SimExecutorPorts): Executor {
  const { machine, takes } = ports;
  return {
    tracking: 'cgroup-v1',
    async start({ home }) {
      await takes(0, 4);
      const process = machine.start(home, ports.programFor(home));
      // The identity is on the disk before anybody hears of it.
      await takes(0, 4);
      return watched(ports, process);
    },
    async adopt(home) {
      await takes(0, 2);
      const process = machine.processIn(home);
      return process && watched(ports, process);
    },
    async kill(home, graceMs) {
      await takes(0, Math.min(graceMs, 500));
      machine.kill(home);
    },
    processes: async () => [],
    freezing: 'cgroup-v1',
    async freeze(home) {
      await takes(0, 10);
      return { processes: machine.freeze(home) ? 1 : 0, tookMs: 0, missed: [] };
    },
    thaw: async (home) => machine.thaw(home),
    throttle: async () => ({ cores: 'none', weight: 'none', io: 'none', missed: [] }),
    isFrozen: async (home) => machine.isFrozen(home),
    watchLimits: () => ({ close: () => undefined }),
    close: async () => undefined,
  };
}

function watched({ machine, isAlive }: SimExecutorPorts, process: SimProcess): RunningProcess {
  const ended: Promise<ProcessEnd> =
    process.boot === machine.boot
      ? process.ended.promise
      : Promise.resolve({ kind: 'lost', message: 'it was started before the machine went down' });
  // Whoever was told of a process that died with its agent hears nothing.
  const heard = new Promise<ProcessEnd>((resolve) => void ended.then((end) => isAlive() && resolve(end)));
  return { startedAtMs: process.startedAtMs, ended: heard };
}
