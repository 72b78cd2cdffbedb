import { type Deferred, deferred } from '../../base/deferred.ts';
import { type AttemptId, attemptId, parseAttemptId } from '../../base/ids.ts';
import type { ProcessEnd } from '../../node-agent/ports.ts';
import type { Change } from '../../node-agent/store/group-writer.ts';
import { HostTime, type SimTime } from './sim-clock.ts';
import type { SimRandom } from './sim-random.ts';

/** What a job or a build of this world does when it is started. */
export interface SimProgram {
  readonly runMs: number;
  readonly exitCode: number;
  /** What it leaves in its archive. */
  readonly output: string;
}

/** A process tree, with what is in its folder about it. */
export interface SimProcess {
  readonly startedAtMs: number;
  readonly boot: number;
  readonly program: SimProgram;
  end: ProcessEnd | undefined;
  readonly ended: Deferred<ProcessEnd>;
  /** Work that was left when it last began to run. */
  leftMs: number;
  /** When that was, on the host's time awake; nothing while it is frozen. */
  runsSinceMs: number | undefined;
}

/** A build's folder; its process, if one was ever started, stands under its home. */
export interface SimBuild {
  readonly digest: string;
  finished: boolean;
}

/** Writes that the room kept back for the record is enough for: few enough that a disk that stays full shows. */
const reserveWrites = 40;

/** A workstation: what outlives an agent's process there. */
export class SimMachine {
  readonly name: string;
  readonly host: HostTime;
  boot = 1;
  /** Attempts that have a folder; its home has the attempt's id for a name. */
  readonly folders = new Set<AttemptId>();
  /** Folders of builds, by key. */
  readonly builds = new Map<string, SimBuild>();
  /** Set while the disk takes no more but what was kept back. */
  diskIsFull = false;
  /** Set while whatever is started here fails at once. */
  isBroken = false;
  readonly #random: SimRandom;
  readonly #processes = new Map<string, SimProcess>();
  /** The agent's record: what the kernel has, what the disk has, and what has come since, write by write. */
  #written = new Map<string, string>();
  #durable = new Map<string, string>();
  #unsynced: (readonly Change[])[] = [];
  #writing: { readonly changes: readonly Change[]; readonly sync: boolean } | undefined;
  #reserve = reserveWrites;

  constructor(name: string, time: SimTime, random: SimRandom) {
    this.name = name;
    this.host = new HostTime(time);
    this.#random = random;
  }

  get entries(): ReadonlyMap<string, string> {
    return this.#written;
  }

  /** Whether the agent's record has this attempt. */
  holds(id: AttemptId): boolean {
    for (const key of this.#written.keys()) if (key.endsWith(`!${id}`)) return true;
    return false;
  }

  /** Attempts in the agent's record. */
  get held(): readonly AttemptId[] {
    return [...this.#written.keys()].flatMap((key) => {
      const [kind, , id] = key.split('!');
      const ref = kind === 'attempt' && id !== undefined ? parseAttemptId(id) : undefined;
      return ref ? [attemptId(ref, ref.attempt)] : [];
    });
  }

  /** A write of the record begins; false when there is no room left for it. */
  beginWrite(changes: readonly Change[], sync: boolean): boolean {
    if (!this.diskIsFull) this.#reserve = reserveWrites;
    else if (this.#reserve === 0) return false;
    else this.#reserve -= 1;
    this.#writing = { changes, sync };
    return true;
  }

  /** The write that has begun is done. */
  endWrite(): void {
    const writing = this.#writing;
    this.#writing = undefined;
    if (!writing) return;
    for (const change of writing.changes) put(this.#written, change);
    if (writing.sync) {
      this.#durable = new Map(this.#written);
      this.#unsynced = [];
    } else this.#unsynced.push(writing.changes);
  }

  /** The agent's process dies: what it was writing is there whole or not at all. */
  agentDied(): void {
    if (this.#random.chance(0.5)) this.endWrite();
    this.#writing = undefined;
  }

  processIn(home: string): SimProcess | undefined {
    return this.#processes.get(home);
  }

  /** Homes in which something runs. */
  get busyHomes(): readonly string[] {
    return [...this.#processes].filter(([, { end }]) => !end).map(([home]) => home);
  }

  start(home: string, program: SimProgram): SimProcess {
    if (this.#processes.has(home)) throw new Error(`${home} is started a second time on ${this.name}`);
    const process: SimProcess = {
      startedAtMs: this.host.wallMs,
      boot: this.boot,
      program,
      end: undefined,
      ended: deferred(),
      leftMs: program.runMs,
      runsSinceMs: undefined,
    };
    this.#processes.set(home, process);
    this.#run(process);
    return process;
  }

  /** Answers false when there is nothing to freeze. */
  freeze(home: string): boolean {
    const process = this.#processes.get(home);
    if (!process || process.end) return false;
    if (process.runsSinceMs !== undefined) process.leftMs -= this.host.awakeMs - process.runsSinceMs;
    process.runsSinceMs = undefined;
    return true;
  }

  thaw(home: string): void {
    const process = this.#processes.get(home);
    if (process && !process.end && process.runsSinceMs === undefined) this.#run(process);
  }

  isFrozen(home: string): boolean {
    const process = this.#processes.get(home);
    return process !== undefined && !process.end && process.runsSinceMs === undefined;
  }

  /** Everything in the home has ended when it returns. */
  kill(home: string): void {
    const process = this.#processes.get(home);
    if (process) this.#end(process, { kind: 'signalled', signal: 15, ranMs: 1 });
  }

  /** A home goes, with what is in it about processes. */
  remove(home: string): void {
    this.#processes.delete(home);
  }

  /** The machine goes down and comes up again: nothing runs, and of what was not synced the end is lost, from some write on. */
  reboot(): void {
    this.boot += 1;
    for (const process of this.#processes.values()) {
      // Nobody is told; the next agent looks at what the disk has.
      process.end ??= { kind: 'lost', message: 'the machine went down' };
    }
    const kept = this.#unsynced.slice(0, this.#random.between(0, this.#unsynced.length));
    for (const changes of kept) for (const change of changes) put(this.#durable, change);
    this.#written = new Map(this.#durable);
    this.#unsynced = [];
  }

  #run(process: SimProcess): void {
    const sinceMs = this.host.awakeMs;
    process.runsSinceMs = sinceMs;
    const { runMs, exitCode } = process.program;
    this.host.after(process.leftMs, () => {
      if (process.runsSinceMs === sinceMs) this.#end(process, { kind: 'exited', exitCode, ranMs: runMs });
    });
  }

  #end(process: SimProcess, end: ProcessEnd): void {
    if (process.end || process.boot !== this.boot) return;
    process.end = end;
    process.ended.resolve(end);
  }
}

function put(record: Map<string, string>, change: Change): void {
  if (change.type === 'put') record.set(change.key, change.value);
  else record.delete(change.key);
}
