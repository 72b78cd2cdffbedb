import type { BatchId, NodeId } from '../../base/ids.ts';
import { buildDigest } from '../../config/digest.ts';
import type { BatchSpec } from '../../config/spec.ts';
import type { Command } from '../../head/scheduler/command.ts';
import type { ClusterState } from '../../head/scheduler/state.ts';
import { aBuild, aSpec } from '../kit/spec.ts';
import { aSubmit, someGroup } from '../kit/state.ts';
import type { SimTime } from './sim-clock.ts';
import type { SimHead } from './sim-head.ts';
import type { SimRandom } from './sim-random.ts';
import type { Weather } from './weather.ts';

const user = { kind: 'user', name: 'ada' } as const;

/** How often people look whether something waits for them, in milliseconds. */
const lookEveryMs = 5 * 60_000;
/** After how long without an answer they ask again. */
const patienceMs = 30_000;
/** Builds that a world's batches may have, at most: fewer than batches, so that some share one. */
const buildsMax = 2;

/** What people need of their world. */
export interface PeoplePorts {
  readonly time: SimTime;
  readonly random: SimRandom;
  readonly head: SimHead;
  readonly weather: Weather;
  readonly nodes: readonly NodeId[];
  /** As the disk has it. */
  truth(): ClusterState;
  onBroken(what: string): void;
}

/** Those who submit batches, change their minds about them, and submit again what the head has no memory of. */
export class People {
  readonly #ports: PeoplePorts;
  readonly #specs = new Map<string, BatchSpec>();
  /** What has been submitted and acknowledged, by its number in the world. */
  readonly #submitted = new Map<number, BatchId>();
  #numbers = 0;

  constructor(ports: PeoplePorts) {
    this.#ports = ports;
    const { time, random, weather } = ports;
    for (let at = 1; at <= weather.batches; at++)
      time.after(random.between(0, weather.faultsForMs / 3), () => this.#submit(at, this.#draw()));
    for (let times = 0; times < 2 * weather.batches; times++)
      time.after(random.between(0, weather.faultsForMs), () => this.#change());
    time.after(lookEveryMs, () => this.#look());
  }

  /** Whether everything has been submitted, and is known to the head. */
  get areServed(): boolean {
    const { weather } = this.#ports;
    const { batches } = this.#ports.truth();
    return this.#submitted.size === weather.batches && [...this.#submitted.values()].every((id) => batches.has(id));
  }

  specOf(hash: string): BatchSpec {
    const spec = this.#specs.get(hash);
    if (!spec) throw new Error(`nobody has submitted ${hash}`);
    return spec;
  }

  #draw(): Extract<Command, { kind: 'submit' }> {
    const { random, weather } = this.#ports;
    const number = ++this.#numbers;
    const build = random.chance(weather.buildChance) ? random.between(1, buildsMax) : 0;
    const text = { kind: 'command', run: { kind: 'script', text: `make build-${build}` } } as const;
    const limits = { timeLimitMs: random.chance(0.2) ? 20_000 : 0 };
    const spec = build === 0 ? plain : aSpec({ build: aBuild({ runtime: text, ...limits }) });
    const groups = [someGroup({ count: weather.jobs, retries: 2 })];
    const submit = aSubmit(number, { groups, buildDigest: buildDigest(spec), buildNeeds: spec.build?.needs });
    if (submit.kind !== 'submit') throw new Error('aSubmit makes submits');
    this.#specs.set(submit.submission.specHash, spec);
    return { ...submit, maxFailures: random.chance(0.3) ? random.between(1, 5) : undefined };
  }

  #submit(at: number, command: Extract<Command, { kind: 'submit' }>): void {
    const { time, head } = this.#ports;
    const again = () => time.after(1_000, () => this.#submit(at, command));
    const { batchId } = command.submission;
    if (!head.isRunning) return again();
    let answered = false;
    head.submit(user, command).then(
      (verdict) => {
        answered = true;
        if (verdict.kind !== 'accepted') return again();
        this.#submitted.set(at, batchId);
        // Promise 1: what was acknowledged is on the disk, whatever happens to the head now.
        if (!this.#ports.truth().batches.has(batchId))
          this.#ports.onBroken(`batch ${at} is acknowledged and not on the disk`);
      },
      () => undefined, // its time runs out like that of an answer that never comes
    );
    // Nobody answers for a head that died: people try again, with the same id.
    time.after(patienceMs, () => !answered && this.#submit(at, command));
  }

  /** People change their mind about some jobs. Nobody repeats it for them when the head dies before it answers. */
  #change(): void {
    const { random, time, weather, nodes } = this.#ports;
    const batch = random.pickOr([...this.#ports.truth().batches.values()]);
    if (!batch) return;
    const batchId = batch.id;
    if (batch.ended && random.chance(0.5)) return this.#ask({ kind: 'delete-batch', batchId });
    const first = random.between(0, batch.rows.count - 1);
    const jobs = [first, random.between(1, Math.min(10, batch.rows.count - first))];
    switch (random.pick(['cancel', 'hold', 'requeue', 'exclude', 'retry', 'drain'] as const)) {
      case 'cancel':
        return this.#ask({ kind: 'cancel', batchId, jobs });
      case 'requeue':
        return this.#ask({ kind: 'requeue', batchId, jobs: [0, batch.rows.count], notOn: undefined });
      case 'exclude':
        return this.#ask({ kind: 'requeue', batchId, jobs, notOn: random.pick(nodes) });
      case 'retry':
        return this.#ask({ kind: 'retry', batchId, jobs });
      case 'drain':
        return this.#drain(random.pick(nodes));
      case 'hold':
        this.#ask({ kind: 'hold', batchId, jobs });
        time.after(60_000, () => this.#ask({ kind: 'release', batchId, jobs: [0, weather.jobs] }));
    }
  }

  /** A node is to get nothing for a while. */
  #drain(nodeId: NodeId): void {
    const { random, time } = this.#ports;
    this.#ask({ kind: 'drain-node', nodeId, reason: 'moved to another room' });
    time.after(random.between(1_000, lookEveryMs), () => this.#ask({ kind: 'undrain-node', nodeId }));
  }

  /** What is held or drained is let go on, and what the head has no memory of is submitted again: as a new batch, for the old one is gone. */
  #look(): void {
    const { time } = this.#ports;
    const { batches, nodes } = this.#ports.truth();
    for (const { id, drained } of nodes.values()) if (drained) this.#ask({ kind: 'undrain-node', nodeId: id });
    for (const { id, rows } of batches.values())
      if (rows.counts.held > 0) this.#ask({ kind: 'release', batchId: id, jobs: [0, rows.count] });
    for (const [at, id] of this.#submitted) {
      if (batches.has(id)) continue;
      this.#submitted.delete(at);
      this.#submit(at, this.#draw());
    }
    time.after(lookEveryMs, () => this.#look());
  }

  #ask(command: Command): void {
    const { head } = this.#ports;
    if (!head.isRunning) return;
    head.submit(user, command).catch(() => undefined); // it died; nobody was told that it was done
  }
}

const plain = aSpec();
