import { assert, unreachable } from '../../base/assert.ts';
import type { Attempt, Ending, Phase, Stop } from './attempt.ts';
import type { AttemptEvent, Effect, ProcessEnd } from './event.ts';
import { paceAt } from './pace.ts';

/** What an event makes of an attempt, and what is to be done. */
export interface Step {
  readonly attempt: Attempt;
  readonly effects: readonly Effect[];
}

/**
 * The life of an attempt. `nowMs` is the wall clock. Repeated and late events change nothing; words of the head that no longer fit are answered
 * with a report of where the attempt really is, so that the head's next comparison heals the difference.
 */
export function step(attempt: Attempt, event: AttemptEvent, nowMs: number): Step {
  switch (event.kind) {
    case 'recall':
      if (attempt.phase.kind !== 'assigned') return tell(attempt);
      return to(attempt, returnedUnstarted, save, report);
    case 'give-back':
      return giveBack(attempt);
    case 'cancel':
      return cancel(attempt, event.graceMs, nowMs);
    case 'discard':
      return discard(attempt);
    case 'settle':
      // What the head had wanted again it takes no more: sending that must not keep the folder.
      return attempt.phase.kind === 'ended' ? to(attempt, { kind: 'wiping' }, save, abort, wipe) : tell(attempt);
    case 'forget':
      return forget(attempt);
    case 'resend':
      return attempt.phase.kind === 'ended' ? same(attempt, { kind: 'resend', paths: event.paths }) : tell(attempt);
    case 'time-over':
      return timeOver(attempt, event.graceMs);
    case 'limited':
      if (attempt.phase.kind !== 'running' || attempt.stop) return same(attempt);
      // No grace: what grows without end would use it to grow.
      return stopping(attempt, event.limit, { kind: 'kill', graceMs: 0 });
    default:
      return progress(attempt, event, nowMs);
  }
}

type Progress = Exclude<
  AttemptEvent,
  { kind: 'recall' | 'give-back' | 'cancel' | 'discard' | 'settle' | 'forget' | 'resend' | 'time-over' | 'limited' }
>;

const returnedUnstarted: Phase = { kind: 'returned', reason: 'recalled', message: '' };
const save: Effect = { kind: 'save' };
const report: Effect = { kind: 'report' };
const wipe: Effect = { kind: 'wipe' };
/** Ends what is being staged or sent. */
const abort: Effect = { kind: 'abort' };
const archive: Effect = { kind: 'archive' };
/** For what has been told to stop already and has not. */
const discardGraceMs = 2_000;

function progress(attempt: Attempt, event: Progress, nowMs: number): Step {
  const { phase, stop } = attempt;
  switch (event.kind) {
    case 'slot':
      return phase.kind === 'assigned' ? to(attempt, { kind: 'staging' }, { kind: 'stage' }, report) : same(attempt);
    case 'build-awaited':
      return phase.kind === 'staging' ? to(attempt, { kind: 'building' }, report) : same(attempt);
    case 'build-ready':
      return phase.kind === 'building' ? to(attempt, { kind: 'staging' }, report) : same(attempt);
    case 'staged':
      if (!isStaging(phase)) return same(attempt);
      // An abort that came too late for staging still comes in time for the start.
      if (stop) return finishUnstarted(attempt, { kind: 'cancelled', ranMs: 0 }, nowMs);
      return to(attempt, { kind: 'starting' }, { kind: 'launch' });
    case 'stage-returned':
      if (!isStaging(phase) && phase.kind !== 'starting') return same(attempt);
      // The head waits for the end of what it stopped, not for its return.
      if (stop) return finishUnstarted(attempt, { kind: 'cancelled', ranMs: 0 }, nowMs);
      return to(attempt, { kind: 'returned', reason: event.reason, message: event.message }, save, report, wipe);
    case 'stage-failed':
      if (!isStaging(phase) && phase.kind !== 'starting') return same(attempt);
      return finishUnstarted(attempt, { kind: 'staging-failed', message: event.message }, nowMs);
    case 'stage-stopped':
      if (!isStaging(phase) && phase.kind !== 'starting') return same(attempt);
      return finishUnstarted(attempt, { kind: 'cancelled', ranMs: 0 }, nowMs);
    case 'never-started':
      if (phase.kind !== 'assigned' || !stop) return same(attempt);
      return unseen(attempt, 'what it had begun is gone', nowMs);
    case 'rebooted':
      return rebooted(attempt, nowMs);
    case 'started':
      return started(attempt, event.startedAtMs);
    case 'paced':
      return paced(attempt, event.share, nowMs);
    case 'exited':
      return exited(attempt, event.end, nowMs);
    case 'archived':
      if (phase.kind !== 'archiving' && phase.kind !== 'ended') return same(attempt);
      return to(
        attempt,
        { kind: 'ended', startedAtMs: phase.startedAtMs, endedAtMs: phase.endedAtMs, ...event.finish },
        save,
        report,
      );
    case 'wiped':
      // Not saved: a restarted agent that finds it wiping wipes what is left and comes here again.
      return phase.kind === 'wiping' ? to(attempt, { kind: 'wiped' }, report) : same(attempt);
    default:
      return unreachable(event);
  }
}

function cancel(attempt: Attempt, graceMs: number, nowMs: number): Step {
  const { phase } = attempt;
  if (phase.kind === 'assigned') return cancelUnstarted(attempt, nowMs);
  if (attempt.stop) return same(attempt);
  if (isStaging(phase)) return stopping(attempt, 'cancelled', { kind: 'abort' });
  if (phase.kind === 'starting') return stopping(attempt, 'cancelled', { kind: 'abort' });
  if (phase.kind === 'running') return stopping(attempt, 'cancelled', { kind: 'kill', graceMs });
  return tell(attempt);
}

/** Nothing is to be swept; the head still gets a complete, empty archive with the outcome. */
function cancelUnstarted(attempt: Attempt, nowMs: number): Step {
  const ending: Ending = { kind: 'cancelled', ranMs: 0 };
  return to(
    { ...attempt, stop: 'cancelled' },
    { kind: 'archiving', startedAtMs: undefined, endedAtMs: nowMs, ending },
    save,
    archive,
  );
}

/** Only what has not been started; a build that was begun is brought to its end for others, too. Whoever cancels it meanwhile finds it returned, which is as good. */
function giveBack(attempt: Attempt): Step {
  const { phase, stop } = attempt;
  if (stop) return same(attempt);
  if (phase.kind === 'assigned') return to(attempt, returnedUnstarted, save, report);
  return phase.kind === 'staging' ? stopping(attempt, 'returned', { kind: 'abort' }) : same(attempt);
}

function discard(attempt: Attempt): Step {
  const { phase } = attempt;
  switch (phase.kind) {
    case 'assigned':
    case 'lost':
      return to({ ...attempt, stop: 'discarded' }, { kind: 'wiping' }, save, wipe);
    case 'archiving':
    case 'ended':
      return to({ ...attempt, stop: 'discarded' }, { kind: 'wiping' }, save, abort, wipe);
    case 'staging':
    case 'building':
    case 'starting':
      return attempt.stop === 'discarded' ? same(attempt) : stopping(attempt, 'discarded', { kind: 'abort' });
    case 'running':
      if (attempt.stop === 'discarded') return same(attempt);
      return stopping(attempt, 'discarded', { kind: 'kill', graceMs: discardGraceMs });
    case 'wiping':
    case 'wiped':
    case 'returned':
    case 'forgotten':
      return tell(attempt);
    default:
      return unreachable(phase);
  }
}

/** Only what is over can be forgotten; for the rest the word comes too early, and the head is told so. */
function forget(attempt: Attempt): Step {
  const { phase } = attempt;
  if (phase.kind === 'wiped') return to(attempt, { kind: 'forgotten' }, { kind: 'drop' });
  if (phase.kind === 'returned' || phase.kind === 'lost') {
    return to(attempt, { kind: 'forgotten' }, wipe, { kind: 'drop' });
  }
  return tell(attempt);
}

function paced(attempt: Attempt, share: number, nowMs: number): Step {
  if (attempt.phase.kind !== 'running' || attempt.pace.share === share) return same(attempt);
  const pace = { ...paceAt(attempt.pace, nowMs), share };
  return { attempt: { ...attempt, pace }, effects: [save, report, { kind: 'pace' }] };
}

function timeOver(attempt: Attempt, graceMs: number): Step {
  if (attempt.phase.kind !== 'running' || attempt.stop) return same(attempt);
  return stopping(attempt, 'timeout', { kind: 'kill', graceMs });
}

function started(attempt: Attempt, startedAtMs: number): Step {
  if (attempt.phase.kind !== 'starting' && attempt.phase.kind !== 'assigned') return same(attempt);
  const kill: Effect[] = attempt.stop ? [{ kind: 'kill', graceMs: discardGraceMs }] : [];
  return to(attempt, { kind: 'running', startedAtMs }, report, ...kill);
}

function exited(running: Attempt, end: ProcessEnd, nowMs: number): Step {
  const attempt = { ...running, pace: { ...paceAt(running.pace, nowMs), share: 1 } };
  const { phase, stop } = attempt;
  if (phase.kind !== 'running') return same(running);
  if (stop === 'discarded') return to(attempt, { kind: 'wiping' }, wipe);
  if (end.kind === 'lost' && !stop) {
    return to(attempt, { kind: 'lost', message: end.message }, save, { kind: 'kill', graceMs: 0 }, report);
  }
  assert(stop !== 'returned', 'what is given back was never started');
  const ranMs = end.kind === 'lost' ? Math.max(0, nowMs - phase.startedAtMs) : end.ranMs;
  const ending = endingOf(end, stop, ranMs);
  return to(attempt, { kind: 'archiving', startedAtMs: phase.startedAtMs, endedAtMs: nowMs, ending }, report, archive);
}

/** Our own reason to end it comes first. A job that did well in spite of a limit did well. */
function endingOf(end: ProcessEnd, stop: Exclude<Stop, 'discarded' | 'returned'> | undefined, ranMs: number): Ending {
  if (stop === 'cancelled' || stop === 'timeout') return { kind: stop, ranMs };
  if (stop !== undefined) return { kind: 'limited', limit: stop, ranMs };
  assert(end.kind !== 'lost', 'what was lost unasked has no ending');
  const { refused, ...plain } = end;
  const failed = end.kind === 'signalled' || end.exitCode !== 0;
  return refused !== undefined && failed ? { kind: 'limited', limit: refused, ranMs } : plain;
}

function finishUnstarted(attempt: Attempt, ending: Ending, nowMs: number): Step {
  if (attempt.stop === 'discarded') return to(attempt, { kind: 'wiping' }, wipe);
  if (attempt.stop === 'returned') return to(attempt, returnedUnstarted, save, report, wipe);
  const last: Ending = attempt.stop ? { kind: 'cancelled', ranMs: 0 } : ending;
  const phase: Phase = { kind: 'archiving', startedAtMs: undefined, endedAtMs: nowMs, ending: last };
  return to(attempt, phase, report, archive);
}

function isStaging(phase: Phase): boolean {
  return phase.kind === 'staging' || phase.kind === 'building';
}

/** Whether it was started cannot be told: a power cut may have undone what was written about it. It must not start again. */
function rebooted(attempt: Attempt, nowMs: number): Step {
  const { phase } = attempt;
  if (phase.kind === 'wiping') return same(attempt, wipe);
  if (phase.kind !== 'assigned') return same(attempt);
  return unseen(attempt, 'the machine went down before the job had ended', nowMs);
}

/** Nobody saw how it ended. What was not to go on ends as asked; a limit of its own, which only what runs comes to, is no wish. */
function unseen(attempt: Attempt, message: string, nowMs: number): Step {
  const { stop } = attempt;
  const isAsked = stop === 'cancelled' || stop === 'discarded' || stop === 'returned';
  if (isAsked) return finishUnstarted(attempt, { kind: 'cancelled', ranMs: 0 }, nowMs);
  return to(attempt, { kind: 'lost', message }, save, report);
}

/** The reason goes to disk first: a restarted agent must not take our own kill for the job's doing. */
function stopping(attempt: Attempt, stop: Stop, ...effects: readonly Effect[]): Step {
  return { attempt: { ...attempt, stop }, effects: [save, ...effects] };
}

function to(attempt: Attempt, phase: Phase, ...effects: readonly Effect[]): Step {
  return { attempt: { ...attempt, phase }, effects };
}

function same(attempt: Attempt, ...effects: readonly Effect[]): Step {
  return { attempt, effects };
}

function tell(attempt: Attempt): Step {
  return { attempt, effects: [report] };
}
