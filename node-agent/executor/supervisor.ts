import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { assert } from '../../base/assert.ts';
import type { Clock } from '../../base/clock.ts';
import { type Deferred, deferred } from '../../base/deferred.ts';
import { Fault } from '../../base/errors.ts';
import { giving } from '../../base/spare-descriptors.ts';
import type { ProcessEnd, ProcessRequest, RunningProcess } from '../ports.ts';
import type { GroupControls } from './controls.ts';
import { endOf, type Identity, readEnd, readIdentity, readLimit, type TrackingName } from './identity.ts';
import { startText, supervisorScript } from './supervisor-script.ts';

/** What a new supervisor is made of. */
export interface SupervisorPlace {
  /** Its own folder, made already. */
  readonly folder: string;
  readonly tracking: TrackingName;
  /** Its control group's folder, made already; empty for none. */
  readonly group: string;
  readonly controls: GroupControls;
  /** The command that becomes its shell. */
  readonly command: readonly string[];
}

/** The tree a supervisor has now. */
interface Current {
  readonly home: string;
  readonly started: Deferred<void>;
  readonly ended: Deferred<ProcessEnd>;
  /** On the monotonic clock; nothing until the identity is on disk. */
  startedMs: number | undefined;
}

/** Longest complaint of a shell that is kept for an error message, in characters. */
const complaintMax = 1000;

/** A supervisor of this agent: runs one process tree at a time, and goes on when the agent does not. */
export class Supervisor {
  readonly place: SupervisorPlace;
  readonly #clock: Clock;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ready = deferred<void>();
  readonly #gone = deferred<void>();
  #identity: Identity | undefined;
  #current: Current | undefined;
  #isGone = false;
  #isSpent = false;
  #unread = '';
  #complaint = '';

  /** Starts the shell. It is of use once `ready` has resolved. */
  constructor(place: SupervisorPlace, clock: Clock) {
    this.place = place;
    this.#clock = clock;
    const [program = '', ...options] = place.command;
    const { killsFile, refusalsFile, folders } = place.controls;
    const more = folders.filter((folder) => folder !== place.group);
    const words = [place.folder, place.tracking, place.group, killsFile, refusalsFile, ...more];
    // A session of its own: no terminal, and no signal that is meant for the agent's process group.
    this.#child = giving(() =>
      spawn(program, [...options, '-s', ...words], {
        cwd: '/',
        env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
        detached: true,
        stdio: ['pipe', 'pipe', 'ignore'],
      }),
    );
    this.#child.on('error', (error) => this.#end(error.message));
    // Only when both the process and what it said have ended is the last word known.
    this.#child.on('close', (code, signal) => this.#end(`it ended with ${signal ?? code}`));
    // A broken pipe means that the shell is gone, which `close` tells with more to say.
    this.#child.stdin.on('error', () => {});
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    this.#child.stdin.write(supervisorScript);
  }

  /** Resolves when it can take a tree; rejects with a `Fault` (`supervisor-failed`) when it cannot be had. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves when the shell has ended. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Whether the main process of its tree has not ended yet. */
  get isBusy(): boolean {
    return this.#current !== undefined;
  }

  /** Whether its groups have counted something at a limit, so that those of another tree could not be told from it. */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** As it wrote it itself. Known once `ready` has resolved. */
  get identity(): Identity {
    assert(this.#identity, 'a supervisor is ready before anyone asks who it is');
    return this.#identity;
  }

  /**
   * Starts a tree. Resolves when its identity is on disk; rejects with a `Fault` (`already-started`, `disk-full`,
   * `start-failed`) when nothing was started.
   */
  async run(request: ProcessRequest): Promise<RunningProcess> {
    assert(this.#current === undefined && !this.#isGone, 'a supervisor that gets a tree has none and lives');
    const current: Current = { home: request.home, started: deferred(), ended: deferred(), startedMs: undefined };
    const text = startText(request, this.place.controls.names);
    this.#current = current;
    this.#complaint = '';
    this.#child.stdin.write(text);
    await current.started.promise;
    return { startedAtMs: this.#clock.nowMs(), ended: current.ended.promise };
  }

  /** Ends its input: an idle one goes at once, a busy one when its tree's main process has ended. */
  letGo(): void {
    this.#child.stdin.end();
  }

  /** Stops listening, so that neither its pipes nor its end keep this process alive. */
  abandon(): void {
    this.#child.stdin.destroy();
    this.#child.stdout.destroy();
    this.#child.unref();
  }

  #read(text: string): void {
    const lines = (this.#unread + text).split('\n');
    this.#unread = (lines.pop() ?? '').slice(-complaintMax);
    for (const line of lines) this.#hear(line);
  }

  #hear(line: string): void {
    const current = this.#current;
    if (line === 'r') {
      this.#identity = readIdentity(this.place.folder);
      this.#ready.resolve();
    } else if (line === 's' && current) {
      current.startedMs = this.#clock.monotonicMs();
      current.started.resolve();
    } else if (line === 'x' && current) {
      this.#current = undefined;
      current.started.reject(this.#startFault(current.home));
    } else if (/^e \d+( \w+)?$/.test(line) && current) {
      this.#current = undefined;
      const ranMs = Math.round(this.#clock.monotonicMs() - (current.startedMs ?? 0));
      const [, status, limit] = line.split(' ');
      if (limit !== undefined) this.#isSpent = true;
      current.ended.resolve(endOf(Number(status), ranMs, readLimit(limit)));
    } else {
      this.#complaint = `${this.#complaint} ${line}`.slice(-complaintMax).trim();
    }
  }

  #startFault(home: string): Fault {
    const code = startFaultCode(this.#complaint);
    if (code === 'start-failed' && readIdentity(home))
      return new Fault('already-started', `Cannot start in "${home}": a job was started there`);
    return new Fault(code, `Cannot start in "${home}": ${this.#complaint}`);
  }

  #end(how: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    const why = `Cannot keep a supervisor in "${this.place.folder}": ${how} ${this.#complaint}`.trim();
    const code = startFaultCode(why);
    this.#ready.reject(new Fault(code === 'start-failed' ? 'supervisor-failed' : code, why));
    const current = this.#current;
    this.#current = undefined;
    this.#gone.resolve();
    if (current === undefined) return;
    const identity = readIdentity(current.home);
    if (current.startedMs === undefined && identity === undefined) {
      current.started.reject(new Fault(code, why));
    } else {
      // It died between its identity and its word about it, or while the tree ran: the files know.
      current.started.resolve();
      current.ended.resolve(identity ? readEnd(current.home, identity) : { kind: 'lost', message: why });
    }
  }
}

/** What the shell complains of decides whether the job or the machine has failed. */
function startFaultCode(complaint: string): 'disk-full' | 'exhausted' | 'start-failed' {
  if (/No space left|quota exceeded|Read-only file system/i.test(complaint)) return 'disk-full';
  if (
    /EMFILE|ENFILE|EAGAIN|ENOMEM|Too many open files|Cannot fork|Resource temporarily unavailable|Cannot allocate memory/i.test(
      complaint,
    )
  )
    return 'exhausted';
  return 'start-failed';
}
