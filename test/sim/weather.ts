/** What happens to a world. Every fault ends by itself. */
export type Fault =
  | 'head-killed'
  | 'head-power'
  /** The head's disk has lied: with the power goes a little of what it said it had written. */
  | 'head-lied'
  /** Much of the log is gone, and somebody has accepted that. */
  | 'head-damaged'
  /** The head's disk is gone: an older backup takes its place. */
  | 'head-restored'
  | 'agent-killed'
  | 'reboot'
  | 'cut'
  | 'silence'
  | 'slow'
  | 'disk-full'
  | 'agent-disk-full'
  /** A machine is suspended. */
  | 'sleep'
  /** Somebody sets the wall clock of the head, or of a machine. */
  | 'clock'
  /** Whatever a machine starts fails. */
  | 'broken-machine';

type Range = readonly [leastMs: number, mostMs: number];

/** What the labs of some worlds go through, in simulated milliseconds. */
export interface Weather {
  readonly nodes: number;
  readonly batches: number;
  readonly jobs: number;
  /** How long jobs take; each range as likely as the others. */
  readonly runMs: readonly Range[];
  /** How likely a job fails by itself. */
  readonly failChance: number;
  /** Each as likely as the others. */
  readonly faults: readonly Fault[];
  /** Mean time between two faults, and for how long there are any; then everything heals. */
  readonly faultEveryMs: number;
  readonly faultsForMs: number;
  /** How long a head or an agent stays away, and how long a line is silent; each range as likely as the others. */
  readonly awayMs: readonly Range[];
  readonly silentMs: readonly Range[];
  /** How long messages take when nothing is wrong. */
  readonly delayMs: Range;
  /** When the agents are started first. */
  readonly joinMs: Range;
  /** How likely a batch has a build. */
  readonly buildChance: number;
}

const second = 1_000;
const minute = 60 * second;

const usual: Weather = {
  nodes: 4,
  batches: 3,
  jobs: 40,
  runMs: [
    [1, second],
    [1, 20 * second],
    [second, minute],
    [10 * second, 5 * minute],
    [5 * minute, 25 * minute],
  ],
  failChance: 0.08,
  faults: [
    ...(['head-killed', 'head-power', 'agent-killed', 'agent-killed', 'reboot'] as const),
    ...(['cut', 'cut', 'silence', 'slow', 'disk-full', 'agent-disk-full'] as const),
    ...(['head-killed', 'agent-killed', 'sleep', 'clock', 'broken-machine'] as const),
  ],
  faultEveryMs: 3.5 * second,
  faultsForMs: 20 * minute,
  awayMs: [
    [100, 20 * second],
    [100, 20 * second],
    [100, 20 * second],
    [20 * second, 20 * minute],
  ],
  silentMs: [
    [second, minute],
    [minute, 25 * minute],
  ],
  delayMs: [0, 3],
  joinMs: [0, 100],
  buildChance: 0.4,
};

/** The weathers there are. */
export const weathers = {
  /** Everything breaks all the time. */
  storm: usual,
  /** Now and then something breaks, some of it for long. */
  badDay: { ...usual, batches: 4, faultEveryMs: 2 * minute, faultsForMs: 3 * 60 * minute },
  /** Nodes fall silent for longer than their lease, with long jobs running and others waiting behind them. */
  split: {
    ...usual,
    batches: 2,
    jobs: 30,
    runMs: [
      [second, minute],
      [10 * minute, 30 * minute],
    ],
    faults: ['silence', 'silence', 'silence', 'sleep', 'cut', 'head-killed'],
    faultEveryMs: 2 * minute,
    faultsForMs: 100 * minute,
    awayMs: [[100, 20 * second]],
    silentMs: [
      [11 * minute, 16 * minute],
      [minute, 9 * minute],
    ],
  },
  /** Words take their time, nodes come one after the other, and there is never enough to do for all. */
  slow: {
    ...usual,
    batches: 12,
    jobs: 7,
    runMs: [
      [second, 20 * second],
      [10 * second, 2 * minute],
    ],
    faults: ['cut', 'agent-killed', 'head-killed', 'silence'],
    faultEveryMs: 40 * second,
    faultsForMs: 30 * minute,
    awayMs: [[100, 20 * second]],
    silentMs: [[second, minute]],
    delayMs: [0, 3 * second],
    joinMs: [0, 10 * minute],
  },
  /** The head's disk lies: short jobs come and go while the end of the log is lost again and again. */
  lies: {
    ...usual,
    runMs: [
      [1, second],
      [1, 20 * second],
    ],
    faults: ['head-lied', 'head-lied', 'head-damaged', 'cut', 'agent-killed', 'silence'],
    faultEveryMs: 10 * second,
    faultsForMs: 20 * minute,
    awayMs: [[100, 5 * second]],
    silentMs: [[second, minute]],
    delayMs: [0, second],
  },
  /** Hundreds of jobs that take a moment each, of which nodes get many ahead, and everything that can happen in a moment. */
  grains: {
    ...usual,
    batches: 2,
    jobs: 250,
    runMs: [[1, 30]],
    failChance: 0,
    faults: ['head-killed', 'head-power', 'agent-killed', 'reboot', 'cut', 'cut', 'slow'],
    faultEveryMs: 300,
    faultsForMs: 20 * second,
    awayMs: [[10, second]],
    silentMs: [[10, second]],
    buildChance: 0,
  },
  /** Backups take the place of logs, while nodes are away for a while or for long. */
  restored: {
    ...usual,
    batches: 4,
    jobs: 20,
    runMs: [
      [1, second],
      [1, 20 * second],
      [second, minute],
      [minute, 10 * minute],
    ],
    faults: ['head-restored', 'head-damaged', 'agent-killed', 'reboot', 'silence', 'cut', 'clock'],
    faultEveryMs: minute,
    faultsForMs: 50 * minute,
    awayMs: [
      [100, 20 * second],
      [20 * second, 5 * minute],
    ],
  },
} as const satisfies Readonly<Record<string, Weather>>;

export type WeatherName = keyof typeof weathers;

/** Which weather a world has unless it is said. */
export function weatherOf(seed: number): WeatherName {
  return usualOrder[seed % usualOrder.length] ?? 'storm';
}

const usualOrder: readonly WeatherName[] = [
  ...(['storm', 'lies', 'slow', 'storm', 'badDay', 'split'] as const),
  ...(['storm', 'restored', 'storm', 'storm', 'grains'] as const),
];
