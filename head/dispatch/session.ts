import { setMaxListeners } from 'node:events';
import { background } from '../../base/background.ts';
import { messageOf } from '../../base/errors.ts';
import { type AttemptId, attemptId, type BatchId, type ClusterId, type NodeId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import { Turns } from '../../base/turns.ts';
import type { HeadChange } from '../../proto/gen/labrun/v1/agent_link.ts';
import { type BuildNews, type Report, writeBuildRetry, writeChange, writeResend } from '../agent-wire.ts';
import type { News } from '../delta-wire.ts';
import type { Engine } from '../engine.ts';
import type { Actor } from '../scheduler/actor.ts';
import type { Command } from '../scheduler/command.ts';
import type { LogRecord } from '../scheduler/event.ts';
import type { ArchiveIntake } from './intake.ts';
import { type Change, forgottenBuilds, type HeldPhase, reconcile } from './reconcile.ts';

/** What a session talks through and with. */
export interface SessionPorts {
  readonly engine: Pick<Engine, 'submit' | 'query' | 'subscribe'>;
  readonly intake: ArchiveIntake;
  readonly clusterId: ClusterId;
  readonly nodeId: NodeId;
  /** Between the SIGTERM and the SIGKILL of a job that is cancelled, in milliseconds. */
  readonly cancelGraceMs: number;
  readonly log: Log;
  /** Sends changes as one delta; resolves when the stream takes more. */
  readonly send: (changes: readonly HeadChange[]) => Promise<void>;
}

/** Changes in one delta at most. */
const changesMax = 256;
/** Commands of one session in the engine's inbox at most; the others wait here, in order. */
export const commandsMax = 256;

/** One connected agent: what it holds, what it was told, and the comparison of both with what it should have. */
export class Session {
  readonly #ports: SessionPorts;
  readonly #actor: Actor;
  readonly #held = new Map<AttemptId, HeldPhase>();
  readonly #told = new Map<AttemptId, Set<Change['kind']>>();
  readonly #sealing = new Set<AttemptId>();
  readonly #commands = new Turns(commandsMax);
  /** Builds that the agent does not try again by itself. */
  readonly #failedBuilds: Set<string>;
  readonly #unsubscribe: () => void;
  /** Of attempts that were found after a loss, and wait for the end of their jobs. */
  #leftAlone: ReadonlySet<BatchId> = new Set();
  #extra: HeadChange[] = [];
  #dirty = true;
  #comparing = false;
  readonly #closing = new AbortController();
  /** The first delta says, be it empty, that the agent's attempts were compared: what is not taken from it is still its own. */
  #hasSpoken = false;

  /** `failedBuilds`: of which the agent's hello says that they failed. */
  constructor(ports: SessionPorts, name: string, failedBuilds: readonly string[]) {
    this.#ports = ports;
    this.#failedBuilds = new Set(failedBuilds);
    this.#actor = { kind: 'node', name };
    // Every archive that waits for the disk listens; their number is bounded by the node's attempts.
    setMaxListeners(0, this.#closing.signal);
    this.#unsubscribe = ports.engine.subscribe((records) => this.#hear(records));
  }

  /** Takes news of attempts. Resolves when what follows from it is on disk, archives that are to be checked apart. */
  async take({ reports = [], builds = [], facts, yielding, wishes = [] }: Partial<News>): Promise<void> {
    const { nodeId } = this.#ports;
    const done = builds.map((build) => this.#takeBuild(build));
    if (facts) done.push(this.#submit({ kind: 'change-node', nodeId, facts }));
    if (yielding) done.push(this.#submit({ kind: 'note-yield', nodeId, told: yielding }));
    for (const report of reports) {
      const id = attemptId(report.attempt, report.attempt.attempt);
      this.#held.set(id, report.phase);
      const command = this.#commandFor(report);
      if (command === 'seal') this.#seal(id, report);
      else if (command?.kind === 'archive-staged') done.push(this.#acceptInline(command));
      else if (command) done.push(this.#submit(command));
    }
    for (const { wished, reason } of wishes)
      done.push(this.#submit({ kind: 'wish-requeue', nodeId, attempt: wished, reason }));
    await Promise.all(done);
    this.#wake();
  }

  /** A failure counts as one that the agent remembers only when the head knows of it: until then it is not forgotten. */
  async #takeBuild(build: BuildNews): Promise<void> {
    await this.#submit({ kind: 'report-build', nodeId: this.#ports.nodeId, ...build });
    if (build.state === 'failed') this.#failedBuilds.add(build.digest);
    else this.#failedBuilds.delete(build.digest);
  }

  close(): void {
    this.#closing.abort(new Error('the session has ended'));
    this.#unsubscribe();
  }

  #commandFor(report: Report): Command | 'seal' | undefined {
    const { nodeId } = this.#ports;
    const { attempt, startedMsAgo, message } = report;
    switch (report.phase) {
      case 'assigned':
      case 'staging':
      case 'building':
      case 'running':
      case 'paused':
      case 'archiving':
        return { kind: 'progress-attempt', nodeId, attempt, phase: report.phase, startedMsAgo };
      case 'returned':
        return { kind: 'return-attempt', nodeId, attempt, reason: report.returnedReason, message };
      case 'lost':
        return { kind: 'lose-attempt', nodeId, attempt, message };
      case 'ended':
        return report.end?.inline === undefined ? 'seal' : this.#stagedCommand(report);
      default:
        return undefined; // wiped says nothing that the head has to note
    }
  }

  #stagedCommand(report: Report): Command | undefined {
    if (!report.end) return undefined;
    const { attempt, startedMsAgo, endedMsAgo, pausedMs, end } = report;
    return { kind: 'archive-staged', nodeId: this.#ports.nodeId, attempt, startedMsAgo, endedMsAgo, pausedMs, ...end };
  }

  /** Checks a staged archive beside everything else: a large one takes its time, and the agent repeats until settled. */
  #seal(id: AttemptId, report: Report): void {
    if (this.#sealing.has(id) || !report.end) return;
    this.#sealing.add(id);
    background(this.#sealAndAccept(id, report, report.end.manifestHash).finally(() => this.#sealing.delete(id)));
  }

  async #sealAndAccept(id: AttemptId, report: Report, manifestHash: string): Promise<void> {
    const { intake, log, clusterId, nodeId } = this.#ports;
    try {
      // Of another node's attempt nothing is looked at, and its report is refused like any other.
      const own = await this.#ports.engine.query((state) => state.attempts.get(id)?.nodeId === nodeId);
      const sealed = own
        ? await intake.seal(report.attempt, manifestHash, this.#closing.signal)
        : { kind: 'sealed' as const };
      const command = this.#stagedCommand(report);
      if (sealed.kind === 'sealed') {
        if (command) await this.#submit(command);
      } else if (sealed.kind === 'resend') this.#extra.push(writeResend(report.attempt, sealed.paths, clusterId));
      else {
        log.warn({ attempt: id, code: sealed.code }, sealed.message);
        this.#extra.push(writeResend(report.attempt, [], clusterId));
      }
    } catch (error) {
      // The agent keeps everything; a new session asks again.
      if (!this.#closing.signal.aborted)
        log.error({ attempt: id, error: messageOf(error) }, 'cannot check a staged archive');
    }
    this.#wake();
  }

  /** Waits while the tree is far behind the log: the agent's window of unacknowledged news then stops the flow. */
  async #acceptInline(command: Command): Promise<void> {
    await this.#ports.intake.room();
    await this.#submit(command);
  }

  async #submit(command: Command): Promise<void> {
    const verdict = await this.#commands.take(() => this.#ports.engine.submit(this.#actor, command));
    if (verdict.kind === 'refused')
      this.#ports.log.debug({ command: command.kind, code: verdict.code }, verdict.message);
  }

  /** Something happened; if it concerns this node, compare again. */
  #hear(records: readonly LogRecord[]): void {
    const concerns = records.some(({ event }) => {
      const batchId = 'attempt' in event ? event.attempt.batchId : 'batchId' in event ? event.batchId : undefined;
      if (batchId !== undefined && this.#leftAlone.has(batchId)) return true;
      if ('nodeId' in event) return event.nodeId === undefined || event.nodeId === this.#ports.nodeId;
      if (!('attempt' in event)) return false;
      const id = attemptId(event.attempt, event.attempt.attempt);
      return this.#held.has(id) || this.#told.has(id);
    });
    if (concerns) this.#wake();
  }

  #wake(): void {
    this.#dirty = true;
    if (this.#comparing || this.#closing.signal.aborted) return;
    this.#comparing = true;
    background(
      this.#compare().finally(() => {
        this.#comparing = false;
      }),
    );
  }

  async #compare(): Promise<void> {
    while (this.#dirty && !this.#closing.signal.aborted) {
      this.#dirty = false;
      const { engine, nodeId, clusterId, cancelGraceMs } = this.#ports;
      const view = { held: this.#held, told: this.#told };
      const { changes, missing, untold, leftAlone, retried } = await engine.query((state) => ({
        ...reconcile(state, nodeId, view),
        retried: forgottenBuilds(state, nodeId, this.#failedBuilds),
      }));
      this.#leftAlone = leftAlone;
      for (const change of changes) this.#note(change);
      for (const digest of retried) this.#failedBuilds.delete(digest);
      const lost = missing.map((attempt) =>
        this.#submit({ kind: 'lose-attempt', nodeId, attempt, message: 'its node no longer knows it' }),
      );
      for (const attempt of untold)
        lost.push(this.#submit({ kind: 'return-attempt', nodeId, attempt, reason: 'recalled', message: '' }));
      // Later on it is but what is left of an attempt whose job is tried again, which its end has told.
      for (const { kind, attempt } of this.#hasSpoken ? [] : changes)
        if (kind === 'discard') lost.push(this.#submit({ kind: 'note-discarded', nodeId, attempt }));
      const told = changes.map((change) => writeChange(change, clusterId, cancelGraceMs));
      // First, so that a job which comes along with it finds its build untried.
      const messages = [...retried.map(writeBuildRetry), ...told, ...this.#extra.splice(0)];
      try {
        for (let at = 0; at < messages.length || !this.#hasSpoken; at += changesMax) {
          this.#hasSpoken = true;
          await this.#ports.send(messages.slice(at, at + changesMax));
        }
      } catch (error) {
        this.#ports.log.debug({ error: messageOf(error) }, 'the stream ended while something was to be said');
        this.close();
      }
      await Promise.all(lost);
    }
  }

  #note(change: Change): void {
    const id = attemptId(change.attempt, change.attempt.attempt);
    if (change.kind === 'forget') {
      this.#held.delete(id);
      this.#told.delete(id);
      return;
    }
    const told = this.#told.get(id) ?? new Set();
    told.add(change.kind);
    this.#told.set(id, told);
  }
}
