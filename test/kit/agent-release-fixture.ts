import { systemClock } from '../../base/clock.ts';
import { asNodeId, ulid } from '../../base/ids.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import type { Attempt, Finish, Phase, Stop } from '../../node-agent/attempts/attempt.ts';
import { type DeskMemory, writeDeskMemory } from '../../node-agent/desk/desk-memory.ts';
import { slotsCount, writeHistory } from '../../node-agent/presence/history.ts';
import { recordOver } from '../../node-agent/store/agent-record.ts';
import { GroupWriter } from '../../node-agent/store/group-writer.ts';
import { aFence, anAttempt } from './attempts.ts';

/** An agent's record as a release writes it, and what that means: what a later agent takes up after an upgrade. */
export interface AgentFixture {
  readonly entries: readonly (readonly [key: string, value: string])[];
  /** The attempts in it, bytes as text. */
  readonly meaning: unknown;
  /** What its desk remembers. */
  readonly desk: unknown;
}

/** The record of an agent that holds an attempt in every state that is recorded, on a machine that somebody has paused. */
export async function makeAgentFixture(): Promise<AgentFixture> {
  const entries = new Map<string, string>();
  const write = async (changes: readonly { key: string; value?: string }[]) => {
    for (const { key, value } of changes) value === undefined ? entries.delete(key) : entries.set(key, value);
  };
  const newNodeId = () => {
    const id = asNodeId(ulid(1_800_000_000_000, Buffer.alloc(10, 3)));
    if (!id) throw new Error('the kit makes proper ids');
    return id;
  };
  const writer = new GroupWriter(write, systemClock);
  const record = await recordOver({ entries: new Map(), writer, newNodeId, close: async () => {} });
  await record.joinCluster(aFence().clusterId);
  record.noteBoot('6f4fbf6e-7f2f-4b34-8d3b-1d1f1b1b1b1b');
  const attempts = everyState();
  for (const attempt of attempts) record.save(attempt);
  record.noteDesk(writeDeskMemory(desk));
  await record.close();
  return { entries: [...entries], meaning: meaningOfAttempts(attempts), desk };
}

/** What attempts say, in words that later releases have, too. */
export function meaningOfAttempts(attempts: readonly Attempt[]): unknown {
  const plain = (_key: string, value: unknown) =>
    value instanceof Uint8Array || isBufferText(value) ? Buffer.from(bytesOf(value)).toString('latin1') : value;
  return JSON.parse(JSON.stringify(attempts, plain));
}

function isBufferText(value: unknown): value is { readonly type: 'Buffer'; readonly data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer' && 'data' in value;
}

function bytesOf(value: Uint8Array | { readonly data: number[] }): Uint8Array | number[] {
  return value instanceof Uint8Array ? value : value.data;
}

const finish: Finish = {
  outcome: {
    state: 'failed',
    reason: 'exit',
    message: 'exit code 3: gone wrong',
    exitCode: 3,
    signal: undefined,
    ranMs: 5,
  },
  manifestHash: hashBytes('manifest'),
  inline: { manifest: Buffer.from('manifest'), files: [{ path: 'log', data: Buffer.from([0, 10, 255]) }] },
};
const ended = { startedAtMs: 1_800_000_000_000, endedAtMs: 1_800_000_005_000, ...finish } as const;

const desk: DeskMemory = {
  pauses: [
    { by: 'ada', reason: 'a talk', sinceMs: 1_800_000_000_000, untilMs: 1_800_003_600_000, untilAway: false },
    { by: 'bob', reason: '', sinceMs: 1_800_000_001_000, untilMs: 1_800_014_401_000, untilAway: true },
  ],
  policy: 'onActivity: pause # while I am here',
  // A week in which somebody was there in the afternoons.
  history: writeHistory({
    presentMs: Array.from({ length: slotsCount }, (_, hour) => (hour % 24 < 12 ? 0 : 1_800_000)),
    watchedMs: Array.from({ length: slotsCount }, () => 3_600_000),
  }),
  given: { weekMs: 1_799_622_000_000, coreMs: 7_200_000 },
};

/** As they come back: what runs, or may, is `assigned`. */
function everyState(): Attempt[] {
  const phases: readonly (readonly [Phase, Stop?])[] = [
    [{ kind: 'assigned' }],
    [{ kind: 'assigned' }, 'cancelled'],
    [{ kind: 'assigned' }, 'timeout'],
    [{ kind: 'assigned' }, 'discarded'],
    [{ kind: 'assigned' }, 'memory'],
    [{ kind: 'ended', ...ended }],
    [{ kind: 'ended', ...ended, startedAtMs: undefined, inline: undefined }, 'cancelled'],
    [{ kind: 'wiping' }],
    [{ kind: 'returned', reason: 'recalled', message: '' }],
    [{ kind: 'lost', message: 'the machine went down' }],
  ];
  const states = phases.map(([phase, stop], index): Attempt => ({ ...anAttempt(index, phase), stop }));
  // One that stands still, and had been slowed down before.
  const pace = { share: 0, sinceMs: 1_800_000_002_000, pausedMs: 60_000, lostMs: 75_000 };
  return [...states, { ...anAttempt(states.length), pace }];
}
