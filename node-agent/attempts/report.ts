import { unreachable } from '../../base/assert.ts';
import type { Fence } from '../../base/ids.ts';
import type { Attempt, Finish, Phase, ReturnReason } from './attempt.ts';
import { paceAt } from './pace.ts';

/** Where an attempt is, for the head. Times are durations: clocks of machines differ. */
export interface AttemptReport {
  readonly fence: Fence;
  readonly phase: ReportedPhase;
  readonly startedMsAgo: number | undefined;
  readonly endedMsAgo: number | undefined;
  readonly finish: Finish | undefined;
  readonly returned: ReturnReason | undefined;
  readonly message: string;
  /** For how long in all its processes were stopped for the person at the desk. */
  readonly pausedMs: number;
}

export type ReportedPhase =
  | 'assigned'
  | 'staging'
  | 'building'
  | 'running'
  | 'paused'
  | 'archiving'
  | 'ended'
  | 'returned'
  | 'wiped'
  | 'lost';

/** The attempt as of now. Nothing when there is nothing left to say. */
export function reportOf(attempt: Attempt, nowMs: number): AttemptReport | undefined {
  const { phase, pace } = attempt;
  const reported = phase.kind === 'running' && pace.share === 0 ? 'paused' : reportedPhase(phase);
  if (!reported) return undefined;
  const startedAtMs = 'startedAtMs' in phase ? phase.startedAtMs : undefined;
  const endedAtMs = 'endedAtMs' in phase ? phase.endedAtMs : undefined;
  return {
    fence: attempt.assignment.fence,
    phase: reported,
    startedMsAgo: startedAtMs === undefined ? undefined : Math.max(0, Math.round(nowMs - startedAtMs)),
    endedMsAgo: endedAtMs === undefined ? undefined : Math.max(0, Math.round(nowMs - endedAtMs)),
    finish:
      phase.kind === 'ended'
        ? { outcome: phase.outcome, manifestHash: phase.manifestHash, inline: phase.inline }
        : undefined,
    returned: phase.kind === 'returned' ? phase.reason : undefined,
    message: phase.kind === 'returned' || phase.kind === 'lost' ? phase.message : '',
    pausedMs: Math.round(paceAt(pace, nowMs).pausedMs),
  };
}

function reportedPhase(phase: Phase): ReportedPhase | undefined {
  switch (phase.kind) {
    case 'starting':
      return 'staging';
    // Said again once the folder is gone; until then the last word stands.
    case 'wiping':
    case 'forgotten':
      return undefined;
    case 'assigned':
    case 'staging':
    case 'building':
    case 'running':
    case 'archiving':
    case 'ended':
    case 'returned':
    case 'wiped':
    case 'lost':
      return phase.kind;
    default:
      return unreachable(phase);
  }
}
