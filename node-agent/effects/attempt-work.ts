import { background } from '../../base/background.ts';
import { Fault, messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { locateJob } from '../../config/matrix.ts';
import type { Attempt, Ending, Finish } from '../attempts/attempt.ts';
import type { AttemptEvent } from '../attempts/event.ts';
import { leftoverGraceMs } from '../attempts/limits.ts';
import { lookedAtAgain } from '../attempts/outcome.ts';
import type { BlobCache, ProcessEnd, RunningProcess } from '../ports.ts';
import { keepTrying } from '../uplink/backoff.ts';
import type { Lease } from '../uplink/lease.ts';
import { type ArchiveLink, ArchiveSender } from '../uplink/send-archive.ts';
import type { DiskWatch } from './disk-watch.ts';
import { JobWatch, type JobWatchPorts } from './job-watch.ts';
import type { Shells } from './shells.ts';
import { specLater } from './spec-later.ts';
import type { LocatedOrder } from './specs.ts';
import { type StagedJob, type StagePorts, stageJob, stageProblem } from './stage.ts';
import type { Sweep } from './sweep.ts';
import { unkept } from './unkept.ts';
import { withRoom } from './with-room.ts';

/** What the work on attempts needs. */
export interface WorkPorts extends StagePorts, JobWatchPorts {
  readonly random: Random;
  readonly log: Log;
  readonly blobs: BlobCache;
  readonly link: ArchiveLink;
  readonly disk: Pick<DiskWatch, 'watch' | 'explain'>;
  /** Brings home what an ended attempt left. */
  sweep(job: Sweep, signal: AbortSignal): Promise<Finish>;
  /** Terminals of people elsewhere; nothing where there are none. */
  readonly shells?: Pick<Shells, 'leave'>;
  /** Sends what a running job has finished already, until closed. */
  travel(attempt: Attempt, home: string, sender: ArchiveSender): { close(): Promise<void> };
  /** Nothing is started while it does not hold. */
  readonly lease: Pick<Lease, 'isValid' | 'valid'>;
  /** Resolves when everything saved so far would be found by an agent started after this one was killed. */
  written(): Promise<void>;
  /** Resolves when everything saved so far is on disk, which it will be in a moment. */
  durableSoon(): Promise<void>;
  /** The same, but it does not wait for a disk that does not take the record: what is wiped may be what fills it. */
  durableOrStuck(): Promise<void>;
  /** Aborted when the agent stops; jobs go on. */
  readonly closing: AbortSignal;
}

/** Of an attempt whose end was told already: then only what cannot be kept makes another one of it. */
const doneWell: Ending = { kind: 'exited', exitCode: 0, ranMs: 0 };

/** Does what `step` asks for one attempt, one thing after the other, and tells what came of it. */
export class AttemptWork {
  readonly #ports: WorkPorts;
  readonly #emit: (event: AttemptEvent) => void;
  readonly #mayStart: () => boolean;
  readonly #sender: ArchiveSender;
  #tail: Promise<void> = Promise.resolve();
  /** Of what was asked for and has not ended. */
  readonly #aborts = new Set<AbortController>();
  #staged: StagedJob | undefined;
  #located: LocatedOrder | undefined;
  /** That its batch cannot be read has been said. */
  #isSpecMissed = false;
  #live: ReturnType<WorkPorts['travel']> | undefined;
  readonly #watch: JobWatch;
  /** Resolves when the attempt's own record is written; for a job that waited for a slot, long before it is started. */
  readonly #recorded: Promise<void>;

  /** Make it when the attempt has been saved. `mayStart` says whether the person at the desk lets anything new begin. */
  constructor(ports: WorkPorts, attempt: Attempt, mayStart: () => boolean, emit: (event: AttemptEvent) => void) {
    this.#ports = ports;
    this.#mayStart = mayStart;
    this.#recorded = ports.written();
    // Work that is cut short because the agent stops says nothing about the attempt.
    this.#emit = (event) => {
      if (!ports.closing.aborted) emit(event);
    };
    this.#watch = new JobWatch(ports, attempt.pace, this.#emit);
    this.#sender = new ArchiveSender(ports, attempt.assignment.fence);
  }

  /** What its batch calls the job; nothing before that was read here. */
  get jobName(): string | undefined {
    return this.#located?.order.jobName;
  }

  /** Whether it was granted GPUs; nothing before that was read here. */
  get usesGpu(): boolean | undefined {
    const order = this.#located?.order;
    return order && locateJob(order.spec, order.specIndex).group.needs.gpus > 0;
  }

  /** Finds out what an earlier agent has started. */
  async adopt(attempt: Attempt): Promise<void> {
    const home = this.#ports.workspace.homeOf(attempt.id);
    const running = await this.#ports.executor.adopt(home);
    if (!running) {
      // What it had begun to lay out is of no use: nobody knows how far it came.
      await this.#ports.workspace.wipe(attempt.id);
      this.#emit({ kind: 'never-started' });
      return;
    }
    this.#follow(attempt, running);
  }

  stage(attempt: Attempt): void {
    this.#then(async (signal) => {
      try {
        this.#staged = await stageJob(this.#ports, attempt, signal, this.#emit);
        this.#located = this.#staged.located;
        this.#emit(signal.aborted ? { kind: 'stage-stopped' } : { kind: 'staged' });
      } catch (error) {
        this.#emit(signal.aborted ? { kind: 'stage-stopped' } : stageProblem(error));
      }
    });
  }

  launch(attempt: Attempt): void {
    this.#then(async (signal) => {
      // Else a restarted agent would find processes of an attempt it has never heard of.
      await this.#recorded;
      const staged = this.#staged;
      if (!staged) throw new Fault('unstaged', `Cannot start ${attempt.id}: it was not laid out`);
      this.#staged = undefined;
      try {
        await this.#ports.lease.valid(signal);
      } catch {
        // Only the signal ends the wait: the head has said that the attempt is not wanted any more.
        this.#emit({ kind: 'stage-stopped' });
        return;
      }
      // Somebody may have come while it waited for the disk, or for the head: then another node has it.
      if (!this.#mayStart()) return this.#emit({ kind: 'stage-returned', reason: 'recalled', message: '' });
      try {
        this.#follow(attempt, await this.#ports.executor.start(staged.request));
      } catch (error) {
        this.#emit(stageProblem(error));
      }
    });
  }

  /** Stops staging or sending; both say so by their end. */
  abort(): void {
    for (const task of this.#aborts) task.abort(new Error('the attempt is not wanted any more'));
  }

  kill(attempt: Attempt, graceMs: number): void {
    this.#then(async () => {
      // Why it is killed is written first: a restarted agent must not take it for the job's own end.
      await this.#ports.written();
      await this.#ports.executor.kill(this.#ports.workspace.homeOf(attempt.id), graceMs);
    });
  }

  /** It goes slower or faster than before: what is left of its time is another while now. */
  pace({ pace }: Attempt): void {
    this.#watch.setPace(pace);
  }

  archive(attempt: Attempt): void {
    const { phase } = attempt;
    if (phase.kind !== 'archiving') return;
    this.#watch.end();
    this.#then(async (signal) => {
      const { executor, workspace } = this.#ports;
      const started = phase.startedAtMs !== undefined;
      await this.#live?.close();
      this.#live = undefined;
      if (started) await executor.kill(workspace.homeOf(attempt.id), leftoverGraceMs);
      await this.#ports.shells?.leave(attempt.id);
      try {
        const finish = await this.#sweep(attempt, phase.ending, started, signal);
        this.#emit({ kind: 'archived', finish });
      } catch (error) {
        if (!signal.aborted) this.#emit({ kind: 'archived', finish: unkept(phase.ending, error) });
      }
      this.#ports.builds.release(attempt.id);
    });
  }

  /** The head lacks what it had: everything is looked at and sent again. */
  resend(attempt: Attempt, paths: readonly string[]): void {
    const { phase } = attempt;
    if (phase.kind !== 'ended') return;
    this.#sender.unknow(paths);
    // How it ended was known before; only what it left is looked at again.
    const told = (finish: Finish) => {
      const outcome = lookedAtAgain(phase.outcome, finish.outcome);
      this.#emit({ kind: 'archived', finish: { ...finish, outcome } });
    };
    this.#then(async (signal) => {
      try {
        told(await this.#sweep(attempt, doneWell, phase.startedAtMs !== undefined, signal));
      } catch (error) {
        if (!signal.aborted) told(unkept(doneWell, error));
      }
    });
  }

  wipe(attempt: Attempt): void {
    this.#watch.end();
    this.#then(async () => {
      // Else a restarted agent would take what is half wiped for what is to be sent; its head would tell it. Nobody waits
      // for the room, unless it is the record itself.
      await this.#ports.durableOrStuck();
      await this.#live?.close();
      this.#live = undefined;
      await this.#ports.shells?.leave(attempt.id);
      this.#ports.builds.release(attempt.id);
      try {
        await keepTrying(this.#ports, this.#ports.closing, () => withRoom(this.#ports.workspace.wipe(attempt.id)));
      } catch (error) {
        // The next start of the agent sweeps what nobody knows; until then it costs room and nothing else.
        this.#ports.log.error({ error: String(error), attempt: attempt.id }, 'cannot remove the folder of an attempt');
      }
      this.#ports.blobs.release(attempt.id);
      this.#emit({ kind: 'wiped' });
    });
  }

  /** Resolves when all that was begun has ended. */
  async close(): Promise<void> {
    this.#watch.end();
    this.abort();
    await this.#live?.close();
    await this.#tail;
  }

  /** Everything that was asked for before has been done. */
  idle(): Promise<void> {
    return this.#tail;
  }

  #follow(attempt: Attempt, running: RunningProcess): void {
    const home = this.#ports.workspace.homeOf(attempt.id);
    this.#emit({ kind: 'started', startedAtMs: running.startedAtMs });
    background(running.ended.then((end) => this.#ended(home, end)));
    // It started while the agent was stopping: whatever began now would be ended by nobody.
    if (this.#ports.closing.aborted) return;
    this.#live = this.#ports.travel(attempt, home, this.#sender);
    if (this.#located) this.#watch.start(home, this.#located, running.startedAtMs);
    // After a restart the limits are in the spec, which is at hand unless the cache was lost.
    else background(this.#restoreLimits(attempt, running));
  }

  async #ended(home: string, end: ProcessEnd): Promise<void> {
    this.#watch.end();
    const { closing, disk } = this.#ports;
    const limitBytes = this.#located?.order.limits.diskBytes ?? 0;
    try {
      // Out of descriptors the disk cannot be asked: the end is told when it can.
      const explained = await keepTrying(this.#ports, closing, () => disk.explain(home, limitBytes, end));
      this.#emit({ kind: 'exited', end: explained });
    } catch (error) {
      if (!closing.aborted) throw error; // the next agent finds it in the folder
    }
  }

  /** Sends what it left; while the head, or room for it, is away that is tried again until the signal. */
  #sweep(attempt: Attempt, ending: Ending, started: boolean, signal: AbortSignal): Promise<Finish> {
    return keepTrying(this.#ports, signal, async () => {
      const { order, timeLimitMs } = started
        ? await this.#locateStarted(attempt, signal)
        : await this.#locate(attempt, signal);
      const { workspace } = this.#ports;
      return withRoom(
        this.#ports.sweep({ workspace, order, sender: this.#sender, ending, timeLimitMs, started }, signal),
      );
    });
  }

  /** However long it takes to read them: a job without its limits would run for ever. */
  async #restoreLimits(attempt: Attempt, running: RunningProcess): Promise<void> {
    const signal = this.#watch.over;
    try {
      const located = await keepTrying(this.#ports, signal, () => this.#locateStarted(attempt, signal));
      this.#watch.start(this.#ports.workspace.homeOf(attempt.id), located, running.startedAtMs);
    } catch (error) {
      if (signal.aborted) return;
      this.#ports.log.error({ error: String(error), attempt: attempt.id }, 'cannot read the limits of a running job');
    }
  }

  async #locate(attempt: Attempt, signal: AbortSignal): Promise<LocatedOrder> {
    this.#located ??= await this.#ports.specs.order(attempt.id, attempt.assignment, signal);
    return this.#located;
  }

  /** The same of one that has started: what it does and leaves is not to be lost because its batch cannot be read just now. */
  async #locateStarted(attempt: Attempt, signal: AbortSignal): Promise<LocatedOrder> {
    try {
      return await specLater(this.#locate(attempt, signal));
    } catch (error) {
      if (!signal.aborted && !this.#isSpecMissed)
        this.#ports.log.warn({ error: messageOf(error), attempt: attempt.id }, 'a job waits for its limits or its end');
      this.#isSpecMissed = true;
      throw error;
    }
  }

  #then(task: (signal: AbortSignal) => Promise<void>): void {
    const stop = new AbortController();
    this.#aborts.add(stop);
    this.#tail = this.#tail.then(async () => {
      try {
        if (!this.#ports.closing.aborted) await task(stop.signal);
      } finally {
        this.#aborts.delete(stop);
      }
    });
    background(this.#tail);
  }
}
