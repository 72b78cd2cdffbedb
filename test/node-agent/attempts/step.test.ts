import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashBytes } from '../../../base/transfer/hash.ts';
import type { Attempt, Finish, Phase } from '../../../node-agent/attempts/attempt.ts';
import type { AttemptEvent, Effect } from '../../../node-agent/attempts/event.ts';
import { reportOf } from '../../../node-agent/attempts/report.ts';
import { step } from '../../../node-agent/attempts/step.ts';
import { anAttempt } from '../../kit/attempts.ts';

const finish: Finish = {
  outcome: { state: 'succeeded', reason: '', message: '', exitCode: 0, signal: undefined, ranMs: 5 },
  manifestHash: hashBytes(''),
  inline: undefined,
};

/** Runs events one after the other; answers where it ends and all that was asked for. */
function live(...events: AttemptEvent[]): { phase: Phase; effects: string[]; attempt: Attempt } {
  let attempt = anAttempt(0);
  const effects: string[] = [];
  for (const event of events) {
    const result = step(attempt, event, 1_000);
    attempt = result.attempt;
    effects.push(...result.effects.map((effect) => effect.kind));
  }
  return { phase: attempt.phase, effects, attempt };
}

const toRunning: AttemptEvent[] = [{ kind: 'slot' }, { kind: 'staged' }, { kind: 'started', startedAtMs: 500 }];
const exit: AttemptEvent = { kind: 'exited', end: { kind: 'exited', exitCode: 0, ranMs: 7 } };
const archived: AttemptEvent = { kind: 'archived', finish };

describe('the life of an attempt', () => {
  it('is ended at once when it comes to a limit, which is then the reason', () => {
    const { phase, effects } = live(
      ...toRunning,
      { kind: 'limited', limit: 'processes' },
      {
        kind: 'exited',
        end: { kind: 'signalled', signal: 9, ranMs: 7 },
      },
    );
    expect(effects).toContain('kill');
    expect(phase).toMatchObject({ kind: 'archiving', ending: { kind: 'limited', limit: 'processes', ranMs: 7 } });
  });

  it('is paused while its processes are stopped, which is saved and told, and no longer once they have ended', () => {
    const { attempt, effects } = live(...toRunning, { kind: 'paced', share: 0 });
    expect(effects.slice(-3)).toEqual(['save', 'report', 'pace']);
    expect(reportOf(attempt, 4_000)).toMatchObject({ phase: 'paused', pausedMs: 3_000 });
    const ended = step(attempt, exit, 6_000).attempt;
    expect(reportOf(ended, 60_000)).toMatchObject({ phase: 'archiving', pausedMs: 5_000 });
    expect(live({ kind: 'slot' }, { kind: 'paced', share: 0 }).attempt.pace.share).toBe(1);
  });

  it('fails by a limit that the kernel enforced, unless it did well or was cancelled', () => {
    const failed: AttemptEvent = { kind: 'exited', end: { kind: 'exited', exitCode: 1, ranMs: 7, refused: 'memory' } };
    expect(live(...toRunning, failed).phase).toMatchObject({ ending: { kind: 'limited', limit: 'memory' } });
    const well: AttemptEvent = { kind: 'exited', end: { kind: 'exited', exitCode: 0, ranMs: 7, refused: 'memory' } };
    expect(live(...toRunning, well).phase).toMatchObject({ ending: { kind: 'exited', exitCode: 0 } });
    const cancelled = live(...toRunning, { kind: 'cancel', graceMs: 0 }, failed);
    expect(cancelled.phase).toMatchObject({ ending: { kind: 'cancelled' } });
  });

  it('goes from assignment to tombstone, and is wiped only after the head has settled it', () => {
    const { phase, effects } = live(...toRunning, exit, archived, { kind: 'settle' }, { kind: 'wiped' });
    expect(phase).toEqual({ kind: 'wiped' });
    expect(effects.filter((effect) => effect !== 'report')).toEqual([
      'stage',
      'launch',
      'archive',
      'save',
      'save',
      'abort', // what the head had wanted again is sent no more
      'wipe',
    ]);
  });

  it('sends nothing more of what the head has settled or does not want: that would keep its folder for ever', () => {
    for (const kind of ['settle', 'discard'] as const) {
      const resend = { kind: 'resend', paths: [] } as const;
      expect(live(...toRunning, exit, archived, resend, { kind }).effects.slice(-2)).toEqual(['abort', 'wipe']);
    }
  });

  it('gives back what this node could not start, and frees its cores', () => {
    const full: AttemptEvent = { kind: 'stage-returned', reason: 'disk-full', message: 'no room' };
    const { phase, effects } = live({ kind: 'slot' }, { kind: 'staged' }, full);
    expect(phase).toEqual({ kind: 'returned', reason: 'disk-full', message: 'no room' });
    expect(effects.slice(-3)).toEqual(['save', 'report', 'wipe']);
    const stopped = live({ kind: 'slot' }, { kind: 'staged' }, { kind: 'cancel', graceMs: 9 }, full);
    expect(stopped.phase).toMatchObject({ kind: 'archiving', ending: { kind: 'cancelled' } });
    const discarded = live({ kind: 'slot' }, { kind: 'staged' }, { kind: 'discard' }, full);
    expect(discarded.phase).toEqual({ kind: 'wiping' });
  });

  it('gives an unstarted attempt back when recalled', () => {
    const { phase, effects } = live({ kind: 'recall' });
    expect(phase).toEqual({ kind: 'returned', reason: 'recalled', message: '' });
    expect(effects).toEqual(['save', 'report']);
  });

  it('answers a recall that comes after the start with where it is', () => {
    const { phase, effects } = live({ kind: 'slot' }, { kind: 'recall' });
    expect(phase).toEqual({ kind: 'staging' });
    expect(effects.at(-1)).toBe('report');
  });

  it('records why it kills before it kills, and ends as cancelled', () => {
    const { effects, phase } = live(...toRunning, { kind: 'cancel', graceMs: 9 });
    expect(effects.slice(-2)).toEqual(['save', 'kill']);
    expect(phase.kind).toBe('running');
    const end: AttemptEvent = { kind: 'exited', end: { kind: 'signalled', signal: 15, ranMs: 3 } };
    const ended = live(...toRunning, { kind: 'cancel', graceMs: 9 }, end);
    expect(ended.phase).toMatchObject({ kind: 'archiving', ending: { kind: 'cancelled', ranMs: 3 } });
  });

  it('ends as timeout when its time is over, however its processes took it', () => {
    const { phase } = live(...toRunning, { kind: 'time-over', graceMs: 9 }, exit);
    expect(phase).toMatchObject({ kind: 'archiving', ending: { kind: 'timeout' } });
  });

  it('kills at once what starts after it was cancelled', () => {
    const { effects, phase } = live(
      { kind: 'slot' },
      { kind: 'staged' },
      { kind: 'cancel', graceMs: 5 },
      { kind: 'started', startedAtMs: 1 },
    );
    expect(phase.kind).toBe('running');
    expect(effects.at(-1)).toBe('kill');
  });

  it('starts nothing when the cancel comes before staging has ended', () => {
    const { effects, phase } = live({ kind: 'slot' }, { kind: 'cancel', graceMs: 5 }, { kind: 'staged' });
    expect(effects).not.toContain('launch');
    expect(phase).toMatchObject({ kind: 'archiving', ending: { kind: 'cancelled' } });
  });

  it('is lost when its supervisor has vanished, and nothing is archived', () => {
    const { phase, effects } = live(...toRunning, { kind: 'exited', end: { kind: 'lost', message: 'gone' } });
    expect(phase).toEqual({ kind: 'lost', message: 'gone' });
    expect(effects).not.toContain('archive');
  });

  it('is lost with the machine, unless its end is known or it was to be stopped', () => {
    const rebooted: AttemptEvent = { kind: 'rebooted' };
    expect(live(rebooted).phase.kind).toBe('lost');
    expect(live(...toRunning, exit, archived, rebooted).phase.kind).toBe('ended');
    expect(live(...toRunning, exit, archived, { kind: 'settle' }, rebooted).effects.at(-1)).toBe('wipe');
  });

  it('is lost with its machine while it is ended for a limit, and not cancelled: nobody asked for that', () => {
    // As a restarted agent finds it in its record.
    const recorded = (...events: AttemptEvent[]): Attempt => ({
      ...live(...toRunning, ...events).attempt,
      phase: { kind: 'assigned' },
    });
    const rebooted: AttemptEvent = { kind: 'rebooted' };
    for (const event of [{ kind: 'time-over', graceMs: 9 } as const, { kind: 'limited', limit: 'memory' } as const]) {
      expect(step(recorded(event), rebooted, 1_000).attempt.phase.kind).toBe('lost');
      expect(step(recorded(event), { kind: 'never-started' }, 1_000).attempt.phase.kind).toBe('lost');
    }
    const cancelled = step(recorded({ kind: 'cancel', graceMs: 9 }), rebooted, 1_000).attempt;
    expect(cancelled.phase).toMatchObject({ kind: 'archiving', ending: { kind: 'cancelled' } });
  });

  it('keeps the tombstone until it may forget', () => {
    const wiped = [...toRunning, exit, archived, { kind: 'settle' } as const, { kind: 'wiped' } as const];
    expect(live(...wiped, { kind: 'settle' }).phase.kind).toBe('wiped');
    expect(live(...wiped, { kind: 'forget' }).effects.at(-1)).toBe('drop');
  });

  it('does not forget what is not over', () => {
    const { phase, effects } = live(...toRunning, exit, archived, { kind: 'forget' });
    expect(phase.kind).toBe('ended');
    expect(effects).not.toContain('drop');
  });
});

describe('whatever comes, in whatever order', () => {
  const end = fc.constantFrom<AttemptEvent>(
    exit,
    { kind: 'exited', end: { kind: 'signalled', signal: 9, ranMs: 1 } },
    { kind: 'exited', end: { kind: 'lost', message: 'gone' } },
  );
  const anyEvent = fc.oneof(
    fc.constantFrom<AttemptEvent>(
      ...(
        [
          'recall',
          'settle',
          'forget',
          'discard',
          'slot',
          'build-awaited',
          'build-ready',
          'staged',
          'stage-stopped',
          'never-started',
          'rebooted',
          'wiped',
        ] as const
      ).map((kind) => ({ kind })),
      { kind: 'cancel', graceMs: 10 },
      { kind: 'time-over', graceMs: 10 },
      { kind: 'started', startedAtMs: 5 },
      { kind: 'stage-failed', message: 'no' },
      { kind: 'stage-returned', reason: 'disk-full', message: 'full' },
      { kind: 'resend', paths: [] },
      archived,
    ),
    end,
  );
  const story = fc.array(anyEvent, { maxLength: 40 });

  it('starts processes at most once', () => {
    fc.assert(
      fc.property(story, (events) => {
        expect(live(...events).effects.filter((effect) => effect === 'launch').length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 3_000 },
    );
  });

  it('wipes only what the head has settled or given up, or what never held a result', () => {
    fc.assert(
      fc.property(story, (events) => {
        let attempt = anAttempt(0);
        for (const event of events) {
          const before = attempt;
          const { attempt: after, effects } = step(attempt, event, 1_000);
          if (effects.some((effect) => effect.kind === 'wipe')) {
            const allowed =
              event.kind === 'discard' ||
              before.stop === 'discarded' ||
              (event.kind === 'settle' && before.phase.kind === 'ended') ||
              event.kind === 'stage-returned' ||
              // What was being wiped when the machine went down was settled or given up before.
              (event.kind === 'rebooted' && before.phase.kind === 'wiping') ||
              (event.kind === 'forget' && (before.phase.kind === 'returned' || before.phase.kind === 'lost'));
            expect(allowed, `${before.phase.kind} + ${event.kind}`).toBe(true);
          }
          attempt = after;
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('changes nothing when the head says the same again', () => {
    fc.assert(
      fc.property(
        story,
        fc.constantFrom<AttemptEvent>(...(['recall', 'settle', 'discard'] as const).map((kind) => ({ kind })), {
          kind: 'cancel',
          graceMs: 1,
        }),
        (events, word) => {
          const once = live(...events, word);
          const again = step(once.attempt, word, 1_000);
          expect(again.attempt).toEqual(once.attempt);
          const harmless: Effect['kind'][] = ['report', 'save', 'kill'];
          expect(again.effects.every((effect) => harmless.includes(effect.kind))).toBe(true);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('never takes back an end', () => {
    fc.assert(
      fc.property(story, (events) => {
        let over = false;
        let attempt = anAttempt(0);
        for (const event of events) {
          attempt = step(attempt, event, 1_000).attempt;
          const ended = ['ended', 'wiping', 'wiped', 'returned', 'lost', 'forgotten'].includes(attempt.phase.kind);
          if (over) expect(ended).toBe(true);
          over = ended;
          expect(() => reportOf(attempt, 2_000)).not.toThrow();
        }
      }),
      { numRuns: 3_000 },
    );
  });
});
