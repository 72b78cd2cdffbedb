import { type Deferred, deferred } from '../../base/deferred.ts';
import type { AttemptId } from '../../base/ids.ts';
import type { ProcessEnd } from '../../node-agent/ports.ts';
import type { Change } from '../../node-agent/store/group-writer.ts';
import type { SimTime } from './sim-clock.ts';
import type { SimRandom } from './sim-random.ts';

/** What a job of this world does when it is started. */
export interface SimProgram {
  readonly runMs: number;
  readonly exitCode: number;
  /** What it leaves in its archive. */
  readonly output: string;
}

/** A job's process tree, with what is in its folder about it. */
interface SimProcess {
  readonly startedAtMs: number;
  readonly boot: number;
  readonly program: SimProgram;
  end: ProcessEnd | undefined;
  readonly ended: Deferred<ProcessEnd>;
  /** Work that was left when it last began to run. */
  leftMs: number;
  /** When that was; nothing while it is frozen. */
  runsSinceMs: number | undefined;
}

/** A workstation: what outlives an agent's process there. */
export class SimMachine {
  readonly name: string;
  boot = 1;
  /** Folders of attempts, by id; a process where one was ever started. */
  readonly folders = new Map<AttemptId, SimProcess | undefined>();
  readonly #time: SimTime;
  readonly #random: SimRandom;
  /** The agent's record: what the kernel has, and what the disk has. */
  #written = new Map<string, string>();
  #durable = new Map<string, string>();

  constructor(name: string, time: SimTime, random: SimRandom) {
    this.name = name;
    this.#time = time;
    this.#random = random;
  }

  get entries(): ReadonlyMap<string, string> {
    return this.#written;
  }

  write(changes: readonly Change[], sync: boolean): void {
    for (const change of changes) {
      if (change.type === 'put') this.#written.set(change.key, change.value);
      else this.#written.delete(change.key);
    }
    if (sync) this.#durable = new Map(this.#written);
  }

  get runningCount(): number {
    return [...this.folders.values()].filter((process) => process && !process.end).length;
  }

  start(id: AttemptId, program: SimProgram): SimProcess {
    if (this.folders.get(id)) throw new Error(`attempt ${id} is started a second time on ${this.name}`);
    const process: SimProcess = {
      startedAtMs: this.#time.nowMs,
      boot: this.boot,
      program,
      end: undefined,
      ended: deferred(),
      leftMs: program.runMs,
      runsSinceMs: undefined,
    };
    this.folders.set(id, process);
    this.#run(process);
    return process;
  }

  /** Answers false when there is nothing to freeze. */
  freeze(id: AttemptId): boolean {
    const process = this.folders.get(id);
    if (!process || process.end) return false;
    if (process.runsSinceMs !== undefined) process.leftMs -= this.#time.nowMs - process.runsSinceMs;
    process.runsSinceMs = undefined;
    return true;
  }

  thaw(id: AttemptId): void {
    const process = this.folders.get(id);
    if (process && !process.end && process.runsSinceMs === undefined) this.#run(process);
  }

  isFrozen(id: AttemptId): boolean {
    const process = this.folders.get(id);
    return process !== undefined && !process.end && process.runsSinceMs === undefined;
  }

  /** Resolves nothing; everything of the attempt has ended when it returns. */
  kill(id: AttemptId): void {
    const process = this.folders.get(id);
    if (process) {
      this.#end(process, { kind: 'signalled', signal: 15, ranMs: this.#time.nowMs - process.startedAtMs });
    }
  }

  /** The machine goes down and comes up again: nothing runs, and what was not on its disk is gone, or not. */
  reboot(): void {
    this.boot += 1;
    for (const process of this.folders.values()) {
      // Nobody is told; the next agent looks at what the disk has.
      if (process && !process.end) process.end = { kind: 'lost', message: 'the machine went down' };
    }
    const keys = new Set([...this.#written.keys(), ...this.#durable.keys()]);
    // LevelDB loses the end of what was not synced: all changes from some moment on.
    if (keys.size > 0 && this.#random.chance(0.7)) this.#written = new Map(this.#durable);
    this.#durable = new Map(this.#written);
  }

  #run(process: SimProcess): void {
    const sinceMs = this.#time.nowMs;
    process.runsSinceMs = sinceMs;
    const { runMs, exitCode } = process.program;
    this.#time.after(process.leftMs, () => {
      if (process.runsSinceMs === sinceMs) this.#end(process, { kind: 'exited', exitCode, ranMs: runMs });
    });
  }

  #end(process: SimProcess, end: ProcessEnd): void {
    if (process.end || process.boot !== this.boot) return;
    process.end = end;
    process.ended.resolve(end);
  }
}
