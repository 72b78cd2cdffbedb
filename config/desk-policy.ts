import { z } from 'zod';
import { check } from './reading/check.ts';
import { ConfigError } from './reading/problems.ts';
import { section } from './reading/section.ts';
import { time } from './reading/settings-file.ts';
import { Written } from './reading/written.ts';

/** What the owner of a workstation wants done while somebody is there. Every default stands beside its setting. */

const step = (...words: readonly ['nothing', ...('throttle' | 'pause')[]]) =>
  z.enum(words, { error: `expected one of ${words.join(', ')}` });
const cores = z.union([z.literal('half'), z.int().min(1).max(4_096)], { error: 'expected half, or a number of cores' });
/** As hours of the week name them; 0 is Monday. */
export const dayNames = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const clockTime = z
  .string({ error: 'expected a time of day in quotes, such as "18:30"' })
  .regex(/^([01]?\d|2[0-3]):[0-5]\d$|^24:00$/, { error: 'expected a time of day, such as "18:30"' })
  .transform((text) => {
    const [hours = 0, minutes = 0] = text.split(':').map(Number);
    return hours * 60 + minutes;
  });

export const deskPolicyFile = section({
  /** What running jobs do while somebody is at the desk. Default: throttle. */
  onActivity: step('nothing', 'throttle', 'pause').default('throttle'),
  /** Cores that all jobs together have while they are throttled, at the lowest weight. Default: half. */
  throttleTo: cores.default('half'),
  /** When programs of the owner run short of memory. Default: pause. */
  onMemoryPressure: step('nothing', 'throttle', 'pause').default('pause'),
  /** When somebody else uses a GPU of this machine: what jobs do that use one, too. Default: pause. */
  onGpuUse: step('nothing', 'throttle', 'pause').default('pause'),
  /** When other programs keep so many cores busy. Default: never. */
  onLoad: section({
    cores: z.int().min(1).max(4_096),
    do: step('nothing', 'throttle', 'pause').default('throttle'),
  }).optional(),
  /** Hours of the week in which this is done whatever anybody does, by the machine's own time. */
  hours: z
    .array(
      section({
        /** Default: every day. */
        days: z.array(z.enum(dayNames, { error: `expected ${dayNames.join(', ')}` })).default([...dayNames]),
        from: clockTime,
        to: clockTime,
        do: step('nothing', 'throttle', 'pause').default('pause'),
      }),
    )
    .max(100)
    .default([]),
  /** For how long nobody may have been there. */
  idle: section({
    /** Before jobs go on, 0s to 24h. Default: 5m. */
    resume: time('0s', '24h').default(300_000),
    /** Before new jobs start, 0s to 24h. Default: 15m. */
    newWork: time('0s', '24h').default(900_000),
  }).prefault({}),
  requeue: section({
    /** Jobs that were stopped for so long look for another machine, 1m to 30d. Default: never. */
    afterPause: time('1m', '30d').optional(),
    /** The same while memory stays short although they are stopped, 10s to 1d. Default: 2m. */
    afterMemoryPressure: time('10s', '1d').default(120_000),
  }).prefault({}),
  /** Whether jobs of the owner go on whatever happens. Default: true. */
  ownJobsGoOn: z.boolean().default(true),
  /** Whether this machine may fall asleep while a job runs: inhibit or allow. Default: inhibit. */
  sleep: z.enum(['inhibit', 'allow'], { error: 'expected inhibit or allow' }).default('inhibit'),
  /** Whether people here are told when work starts or stops: none, notify (on the desktop) or wall. Default: none. */
  notices: z.enum(['none', 'notify', 'wall'], { error: 'expected none, notify or wall' }).default('none'),
});

/** What is done to running jobs. */
export type YieldStep = 'nothing' | 'throttle' | 'pause';

/** A policy with every setting there is. Times in milliseconds, minutes of a local day. */
export interface DeskPolicy {
  readonly onActivity: YieldStep;
  readonly throttleTo: 'half' | number;
  readonly onMemoryPressure: YieldStep;
  readonly onGpuUse: YieldStep;
  readonly onLoad: { readonly cores: number; readonly do: YieldStep } | undefined;
  readonly hours: readonly PolicyHours[];
  readonly resumeIdleMs: number;
  readonly newWorkIdleMs: number;
  readonly requeueAfterPauseMs: number | undefined;
  readonly requeueAfterMemoryMs: number;
  readonly ownJobsGoOn: boolean;
  readonly sleep: 'inhibit' | 'allow';
  readonly notices: 'none' | 'notify' | 'wall';
}

/** Some hours of some days; 0 is Monday. Where `toMinute` is not later, they end on the next day. */
export interface PolicyHours {
  readonly days: readonly number[];
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly do: YieldStep;
}

/** Most characters of a policy's text. */
export const policyMaxLength = 65_536;

/** Reads a policy. Throws one `ConfigError` that lists everything that is wrong; `file` is the name it uses. */
export function readDeskPolicy(file: string, text: string): DeskPolicy {
  const written = new Written(file, text.trim() === '' ? '{}' : text);
  const policy = written.problems.length === 0 ? check(written, deskPolicyFile) : undefined;
  if (policy === undefined || written.problems.length > 0) throw new ConfigError(written.problems);
  return policyOf(policy);
}

/** A policy from its checked settings. */
export function policyOf(file: z.output<typeof deskPolicyFile>): DeskPolicy {
  const { idle, requeue, hours, ...plain } = file;
  return Object.freeze({
    ...plain,
    onLoad: file.onLoad,
    hours: hours.map(({ days, from, to, do: what }) => ({
      days: days.map((day) => dayNames.indexOf(day)),
      fromMinute: from,
      toMinute: to,
      do: what,
    })),
    resumeIdleMs: idle.resume,
    newWorkIdleMs: idle.newWork,
    requeueAfterPauseMs: requeue.afterPause,
    requeueAfterMemoryMs: requeue.afterMemoryPressure,
  });
}

/** Of an owner who has said nothing. */
export const defaultPolicy: DeskPolicy = policyOf(deskPolicyFile.parse({}));
