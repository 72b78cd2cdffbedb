import type { AttemptId } from '../../base/ids.ts';
import type { DeskJob, DeskState, PresenceView, SignalView } from '../../proto/gen/labrun/v1/desk.ts';
import type { Attempt } from '../attempts/attempt.ts';
import { paceAt } from '../attempts/pace.ts';
import type { OpenAgent } from '../open-agent.ts';
import { words } from '../presence/fuse.ts';
import type { SignalReading } from '../presence/signal.ts';
import type { PresenceVerdict } from '../presence/watch.ts';
import type { DeskKeeper } from './keeper.ts';
import type { Notice } from './notices.ts';

/** What the desk shows besides what its keeper decides. */
export interface DeskFacts {
  readonly node: string;
  /** By the clock of what is shown, and by that on the wall. */
  readonly nowMs: number;
  readonly wallMs: number;
  readonly sinceBootMs: number;
  readonly attempts: readonly Attempt[];
  readonly shells: ReturnType<OpenAgent['shells']>;
  readonly verdict: PresenceVerdict | undefined;
  readonly headConnected: boolean;
  readonly cores: number;
  /** Nothing where it is not known. */
  jobName(id: AttemptId): string | undefined;
  readonly freezing: string;
  readonly mayChange: boolean;
  /** What is done about sleep. */
  readonly sleep: string;
  readonly notice: Notice;
  readonly pauseMaxMs: number;
}

const hourMs = 3_600_000;
const unkept =
  'the disk of this machine has not taken what was said here; an agent that is started anew may have forgotten it';

/** The desk as it crosses the socket. */
export function writeDeskState(keeper: DeskKeeper, facts: DeskFacts): DeskState {
  const { step, takesJobs, cause, by, reason, sinceMs, untilMs, condition } = keeper.yielding;
  const { verdict } = facts;
  const wall = (ms: number) => onWall(ms, facts);
  return {
    ...{ node: facts.node, step, takesJobs, cause, by, reason, condition },
    sinceMs: wall(sinceMs),
    ...(untilMs === undefined ? {} : { untilMs: wall(untilMs) }),
    pauses: keeper.pauses.map((pause) => ({
      by: pause.by,
      reason: pause.reason,
      sinceMs: wall(pause.sinceMs),
      untilMs: wall(pause.untilMs),
      untilAway: pause.untilAway,
    })),
    jobs: facts.attempts.map((attempt) => jobOf(attempt, facts)),
    ...(verdict ? { presence: presenceOf(verdict, facts) } : {}),
    headConnected: facts.headConnected,
    coreHoursThisWeek: keeper.givenCoreMs / hourMs,
    cores: facts.cores,
    freezing: facts.freezing,
    dedicated: verdict === undefined,
    mayChange: facts.mayChange,
    sleep: facts.sleep,
    notice: facts.notice.text,
    noticeNumber: BigInt(facts.notice.number),
    pauseMaxMs: BigInt(facts.pauseMaxMs),
    trouble: keeper.isUnkept ? unkept : '',
    shells: facts.shells.map(({ user, sinceMs, attempt }) => ({
      user,
      sinceMs: wall(sinceMs),
      ...(attempt && { job: jobOf(attempt, facts) }),
    })),
  };
}

/** A moment as clocks on the wall show it now; 0 for none. */
function onWall(ms: number, { nowMs, wallMs }: Pick<DeskFacts, 'nowMs' | 'wallMs'>): bigint {
  return ms === 0 ? 0n : BigInt(Math.max(0, Math.round(ms + wallMs - nowMs)));
}

function jobOf({ id, assignment, phase, pace }: Attempt, facts: DeskFacts): DeskJob {
  const startedMs = 'startedAtMs' in phase ? phase.startedAtMs : undefined;
  const stopped = phase.kind === 'running' && pace.share === 0;
  return {
    ...{ namespace: assignment.namespace, batch: assignment.batch, index: assignment.fence.index },
    name: facts.jobName(id) ?? '',
    ...{ attempt: assignment.fence.attempt, user: assignment.user, cpus: assignment.cpus },
    state: stopped ? 'paused' : phase.kind === 'starting' ? 'staging' : phase.kind,
    ...(startedMs === undefined ? {} : { startedMs: onWall(startedMs, facts) }),
    pausedMs: BigInt(Math.round(paceAt(pace, facts.nowMs).pausedMs)),
  };
}

function presenceOf(verdict: PresenceVerdict, { wallMs, sinceBootMs }: DeskFacts): PresenceView {
  const wall = (bootMs: number) => BigInt(Math.max(0, Math.round(wallMs - (sinceBootMs - bootMs))));
  const signals: SignalView[] = verdict.signals.map(({ source, reading }) => {
    const lastMs = lastOf(reading, sinceBootMs);
    return {
      name: source,
      verdict: reading.kind,
      detail: words(reading),
      ...(lastMs === undefined ? {} : { lastActivityMs: wall(lastMs) }),
    };
  });
  return {
    present: verdict.present,
    why: verdict.why,
    signals,
    ...(verdict.lastActivityMs === undefined ? {} : { lastActivityMs: wall(verdict.lastActivityMs) }),
  };
}

function lastOf(reading: SignalReading, sinceBootMs: number): number | undefined {
  if (reading.kind === 'idle') return reading.lastActiveMs;
  return reading.kind === 'active' || reading.kind === 'busy' ? sinceBootMs : undefined;
}
