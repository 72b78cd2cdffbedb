import type { LogRecord } from '../../head/scheduler/event.ts';

/** What can have happened in a world besides jobs that run; a simulation in which one of these never does checks nothing of it. */
export const happenings = [
  ...([
    'recall',
    'lapse',
    're-adoption',
    'replacement',
    'refusal by the fence',
    'loss',
    'retry',
    'try elsewhere',
  ] as const),
  ...(['quarantine', 'node freed', 'build', 'failed build', 'job failed by its build', 'job returned'] as const),
  ...([
    'return for a full disk',
    'batch held for failures',
    'cancel',
    'requeue',
    'exclusion',
    'drain',
    'delete',
  ] as const),
  ...([
    'lost tail',
    'accepted loss',
    'restore',
    'attempt found',
    'found attempt taken up',
    'number used again',
  ] as const),
  ...([
    'agent out of room',
    'sleep',
    'clock jump',
    'short jobs given ahead',
    'start forgotten with the power',
  ] as const),
] as const;

export type Happening = (typeof happenings)[number];

/** How often what happened. */
export class Tally {
  readonly counts = new Map<Happening, number>();

  note(what: Happening, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  /** Counts what a durable record tells. */
  noteRecord({ event }: LogRecord): void {
    switch (event.kind) {
      case 'attempt-recalled':
        return this.note('recall');
      case 'attempt-lapsed':
        return this.note('lapse');
      case 'attempt-readopted':
        return this.note('re-adoption');
      case 'attempt-lost':
        return this.note('loss');
      case 'attempt-requeued':
        return this.note('requeue');
      case 'attempt-cancelling':
      case 'jobs-cancelled':
        return this.note('cancel');
      case 'jobs-excluded':
        return this.note('exclusion');
      case 'node-drained':
        return this.note('drain');
      case 'batch-deleted':
        return this.note('delete');
      case 'node-quarantined':
        return this.note('quarantine');
      case 'node-freed':
        return this.note('node freed');
      case 'build-ready':
        return this.note('build');
      case 'build-failed':
        return this.note('failed build');
      case 'jobs-failed':
        return this.note('job failed by its build');
      case 'attempt-returned':
        return this.note(event.reason === 'disk-full' ? 'return for a full disk' : 'job returned');
      case 'jobs-held':
        return event.reason === '' ? undefined : this.note('batch held for failures');
      case 'log-shortened':
        return this.note(event.how === 'restored' ? 'restore' : 'accepted loss');
      case 'attempt-found':
        return this.note('attempt found');
      case 'archive-accepted':
        if (event.requeued === 'retry') this.note('retry');
        if (event.requeued === 'elsewhere') this.note('try elsewhere');
        return;
      default:
        return;
    }
  }

  /** Adds what another world has counted. */
  add(other: Tally): void {
    for (const [what, times] of other.counts) this.note(what, times);
  }

  /** What has never happened. */
  get missing(): readonly Happening[] {
    return happenings.filter((what) => !this.counts.has(what));
  }

  /** For people: every happening with its number. */
  text(): string {
    return happenings.map((what) => `${what} ${this.counts.get(what) ?? 0}`).join(', ');
  }
}
