import { join } from 'node:path';
import { background } from '../../base/background.ts';
import { type Clock, delay } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import type { LimitName } from '../attempts/attempt.ts';
import { leftoverGraceMs } from '../attempts/limits.ts';
import { limitText } from '../attempts/outcome.ts';
import type { BuildFolders, BuildOrder, BuildView, Executor, ProcessEnd, RunningProcess } from '../ports.ts';
import type { BuildLog } from './build-log.ts';
import type { DiskWatch } from './disk-watch.ts';
import { KeepLimits } from './keep-limits.ts';
import type { TimeLimit } from './time-limit.ts';

/** What a build needs. */
export interface BuildRunPorts {
  readonly clock: Clock;
  readonly executor: Executor;
  readonly folders: BuildFolders;
  readonly disk: Pick<DiskWatch, 'watch' | 'explain'>;
  /** Starts sending the log in a build's home, under the batch that asked for the build. */
  openLog(home: string, batchId: string): BuildLog;
  /** Its processes run from now on, or have ended. */
  runs(isRunning: boolean): void;
  /** What a failed build left is of no use any more, once its log was sent; whoever wants it again waits for that. Never rejects. */
  discard(sent: Promise<void>): void;
  /** The last line of a log that says something; empty when there is none. */
  lastLine(path: string): Promise<string>;
  /** Between SIGTERM and SIGKILL when a time limit has passed. */
  readonly killGraceMs: number;
  /** Aborted when the agent stops; builds go on. */
  readonly closing: AbortSignal;
}

/** Tries of a build whose processes vanished under it. */
const triesMax = 2;
/** How long a build's end waits for its log to arrive before it is told, in milliseconds; the head may be away. */
const logFirstMs = 2_000;

/**
 * Makes a build ready, going on with one that an earlier agent started. Its log travels to the head under the batch
 * that asked first. Throws `Fault` "build-failed" when the build itself is at fault, other faults when the machine is
 * ("disk-full", "lost"),
 * and the signal's reason when nobody wants it any more; then nothing of it is left.
 */
export async function runBuild(
  ports: BuildRunPorts,
  order: BuildOrder,
  batchId: string,
  timeLimit: TimeLimit,
  signal: AbortSignal,
): Promise<BuildView> {
  const { executor, folders } = ports;
  const home = folders.homeOf(order.key);
  for (let tries = 1; ; tries++) {
    const adopted = await executor.adopt(home);
    const running = adopted ?? (await begin(ports, order, signal));
    // For how long it stood still before, the earlier agent knew: its time begins anew, for it must not end too soon.
    const sinceMs = adopted ? ports.clock.nowMs() : running.startedAtMs;
    ports.runs(true);
    const log = ports.openLog(home, batchId);
    let end: BuildEnd;
    try {
      end = await untilEnd(ports, { ...running, startedAtMs: sinceMs }, order, timeLimit, signal);
    } catch (error) {
      await log.abandon();
      // A stopping agent leaves its builds running, like its jobs.
      if (ports.closing.aborted) throw error;
      await executor.kill(home, leftoverGraceMs);
      await folders.remove(order.key);
      throw error;
    }
    await executor.kill(home, end.kind === 'timeout' || end.kind === 'limited' ? ports.killGraceMs : leftoverGraceMs);
    ports.runs(false);
    const problem = await problemOf(ports, end, order);
    if (problem === undefined) {
      const view = await folders.finish(order);
      await logFirst(ports, log.complete());
      return view;
    }
    if (end.kind === 'lost') {
      await log.abandon();
      await folders.remove(order.key);
      if (tries < triesMax) continue;
      throw new Fault('lost', `the build was lost: ${problem}`);
    }
    const sent = log.complete();
    ports.discard(sent);
    await logFirst(ports, sent);
    throw new Fault(isNodeFull(end, order) ? 'disk-full' : 'build-failed', problem);
  }
}

/** Lays it out and starts it; what was laid out for a start that did not come goes again. */
async function begin(
  { executor, folders, closing }: BuildRunPorts,
  order: BuildOrder,
  signal: AbortSignal,
): Promise<RunningProcess> {
  try {
    return await executor.start(await folders.prepare(order, signal));
  } catch (error) {
    if (!closing.aborted) await folders.remove(order.key);
    throw error;
  }
}

/** Who hears of a build's end looks at its log next, and should find it whole. */
async function logFirst(ports: BuildRunPorts, sent: Promise<void>): Promise<void> {
  const arrived = new AbortController();
  const patience = delay(ports.clock, logFirstMs, arrived.signal).catch(() => undefined); // it arrived
  background(sent);
  await Promise.race([sent, patience]);
  arrived.abort(new Error('the log has arrived'));
}

/** How a build's processes ended, or why they are to. */
type BuildEnd = ProcessEnd | { readonly kind: 'timeout' } | { readonly kind: 'limited'; readonly limit: LimitName };

async function untilEnd(
  ports: BuildRunPorts,
  running: RunningProcess,
  order: BuildOrder,
  timeLimit: TimeLimit,
  signal: AbortSignal,
): Promise<BuildEnd> {
  signal.throwIfAborted();
  const home = ports.folders.homeOf(order.key);
  const stops: (() => void)[] = [];
  const stopped = new Promise<BuildEnd>((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    const limits = new KeepLimits(ports, home, order.limits, (limit) => resolve({ kind: 'limited', limit }));
    stops.push(
      () => signal.removeEventListener('abort', abort),
      () => limits.close(),
      () => timeLimit.cancel(),
    );
    timeLimit.start(running.startedAtMs, () => resolve({ kind: 'timeout' }));
  });
  const ended = running.ended.then((end) => ports.disk.explain(home, order.limits.diskBytes, end));
  try {
    return await Promise.race([ended, stopped]);
  } finally {
    for (const stop of stops) stop();
  }
}

/** A disk that others filled says nothing about the build: another node, or this one later, may do better. */
function isNodeFull(end: BuildEnd, { limits }: BuildOrder): boolean {
  const limit = end.kind === 'limited' ? end.limit : 'refused' in end ? end.refused : undefined;
  return limit === 'disk' && limits.diskBytes === 0;
}

async function problemOf(ports: BuildRunPorts, end: BuildEnd, order: BuildOrder): Promise<string | undefined> {
  if (end.kind === 'timeout') {
    return `the build ran into its time limit of ${Math.round((order.spec.build?.timeLimitMs ?? 0) / 1000)} s`;
  }
  if (end.kind === 'lost') return end.message;
  if (end.kind === 'limited') return `the build ended: ${limitText(end.limit, order.limits)}`;
  if (end.kind === 'exited' && end.exitCode === 0) return undefined;
  const plain = end.kind === 'exited' ? `exit code ${end.exitCode}` : `signal ${end.signal}`;
  const how = end.refused === undefined ? plain : `${plain}: ${limitText(end.refused, order.limits)}`;
  const line = await ports.lastLine(join(ports.folders.homeOf(order.key), 'log'));
  return line === '' ? `the build ended with ${how}` : `the build ended with ${how}: ${line}`;
}
