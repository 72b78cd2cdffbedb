import type { AttemptId, NodeId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import { Faults } from './faults.ts';
import { People } from './people.ts';
import { SimAgent } from './sim-agent.ts';
import { SimTime } from './sim-clock.ts';
import { SimHead } from './sim-head.ts';
import type { SimMachine, SimProgram } from './sim-machine.ts';
import { SimNetwork } from './sim-network.ts';
import { SimRandom } from './sim-random.ts';
import { Tally } from './tally.ts';
import type { Weather } from './weather.ts';
import { Witness } from './witness.ts';

/** After everything has healed, this long must be enough, in simulated milliseconds: a lease, and time to run all. */
const patienceMs = 5 * 3_600_000;

/** Once nothing is left to do, this long must nothing go wrong, in simulated milliseconds. */
const quietMs = 60_000;

/** A lab with one head and some workstations: real engine, dispatch and agents over simulated time, lines and disks. */
export class World {
  readonly time = new SimTime();
  readonly head: SimHead;
  readonly agents: readonly SimAgent[];
  /** What has happened, for whoever reads about a failure. */
  readonly story: string[] = [];
  readonly tally = new Tally();
  starts = 0;
  readonly #weather: Weather;
  readonly #random: SimRandom;
  readonly #witness: Witness;
  readonly #people: People;
  readonly #found: string[] = [];
  /** How builds fare, by digest and machine: a try that failed fails there again. */
  readonly #badBuilds = new Map<string, boolean>();
  #doneMs: number | undefined;

  /** The same seed and weather, the same world. */
  constructor(seed: number, weather: Weather) {
    this.#weather = weather;
    this.#random = new SimRandom(seed);
    const { time, tally } = this;
    const random = this.#random;
    const log = this.#log();
    const network = new SimNetwork(time, random, weather.delayMs);
    const onBroken = (what: string) => this.#broken(what);
    const machineOf = (nodeId: NodeId) => this.agents.find((agent) => agent.nodeId === nodeId)?.machine;
    this.#witness = new Witness({ machineOf, onBroken }, tally);
    this.head = new SimHead({
      ...{ time, random, network, log },
      onFatal: (error) => this.#broken(`the engine stops: ${String(error)}`),
      onDurable: (record) => this.#witness.onDurable(record),
      onLost: (records) => this.#witness.onLost(records),
      onRefused: (code) => code === 'stale' && tally.note('refusal by the fence'),
    });
    const { head } = this;
    this.agents = Array.from(
      { length: weather.nodes },
      (_, at) =>
        new SimAgent(`ws${at + 1}`, {
          ...{ time, random, network, head, log, cpus: random.between(1, 3), onBroken },
          specOf: (hash) => this.#people.specOf(hash),
          onStart: (id, machine) => this.#start(id, machine),
          onBuild: (digest, machine) => this.#build(digest, machine),
          onWipe: (id, machine) => this.#witness.onWipe(id, machine),
          onRebooted: (machine) => this.#witness.onRebooted(machine),
          onDial: (machine) => this.#witness.onDial(machine),
          onDied: (agent) => faults.agentDied(agent),
        }),
    );
    const { agents } = this;
    const run = (start: Promise<void>) => this.#run(start);
    run(this.head.start());
    this.#people = new People({
      ...{ time, random, head, weather, onBroken },
      nodes: agents.map(({ nodeId }) => nodeId),
      truth: () => this.#witness.truth,
    });
    const faults = new Faults({
      ...{ time, random, head, network, agents, weather, tally, run },
      say: (line) => this.story.push(line),
    });
    for (const agent of agents) time.after(random.between(...weather.joinMs), () => faults.startAgent(agent));
  }

  /** Goes on to what happens next; false when the lab has nothing to do any more, or its time is up. */
  async step(): Promise<boolean> {
    if (this.isDone) this.#doneMs ??= this.time.nowMs;
    else this.#doneMs = undefined;
    const { nowMs } = this.time;
    if (nowMs > this.#weather.faultsForMs + patienceMs || nowMs > (this.#doneMs ?? nowMs) + quietMs) return false;
    this.time.next();
    // Everything that follows at this moment, promise by promise, before time goes on.
    await new Promise(setImmediate);
    return true;
  }

  /** Whether faults are over, every job has ended, and no agent holds anything that the head knows of. */
  get isDone(): boolean {
    return (
      this.time.nowMs > this.#weather.faultsForMs &&
      this.#people.areServed &&
      this.#witness.unfinished().length === 0 &&
      this.agents.every(({ machine }) => this.#leftOn(machine).length === 0)
    );
  }

  /** What is wrong now: promises that were broken. */
  violations(): readonly string[] {
    return this.#found;
  }

  /** The same with checks that cost more; for now and then, and for the end. */
  deepViolations(): readonly string[] {
    return [...this.#found, ...this.#witness.stateViolations()];
  }

  /** What is wrong with the end of the world: every job must have ended, and be in the archive once, whole. */
  endViolations(): string[] {
    const found = [...this.deepViolations(), ...this.#witness.unfinished()];
    if (!this.#people.areServed) found.push('a batch was never accepted');
    for (const { machine } of this.agents) {
      found.push(...this.#leftOn(machine));
      const known = machine.busyHomes.filter((home) => !this.#isStrange(home));
      if (known.length > 0) found.push(`${known.join(', ')} still runs on ${machine.name}`);
    }
    return [...found, ...this.#witness.archiveViolations(this.head)];
  }

  get crashes(): number {
    return this.head.crashes + this.agents.reduce((sum, agent) => sum + agent.crashes, 0);
  }

  /** What a machine still has of batches that the head knows. */
  #leftOn(machine: SimMachine): string[] {
    const folders = [...machine.folders].filter((id) => this.#witness.knows(id));
    const held = machine.held.filter((id) => this.#witness.knows(id));
    return [
      ...folders.map((id) => `${machine.name} still has the folder of ${id}`),
      ...held.map((id) => `the record of ${machine.name} still holds ${id}`),
    ];
  }

  /** Whether a home belongs to a batch that the head has no memory of. */
  #isStrange(home: string): boolean {
    return this.agents.some(({ machine }) => machine.held.some((id) => id === home && !this.#witness.knows(id)));
  }

  #start(id: AttemptId, machine: SimMachine): SimProgram {
    this.starts += 1;
    const random = this.#random;
    // Some archives are too large for the report, and travel by themselves.
    const output = `result of ${id}, start ${this.starts} ${'x'.repeat(random.chance(0.3) ? 6_000 : 10)}`;
    this.#witness.onStart(id, machine, output);
    if (machine.isBroken) return { runMs: random.between(1, 200), exitCode: 127, output };
    const runMs = random.between(...random.pick(this.#weather.runMs));
    return { runMs, exitCode: random.chance(this.#weather.failChance) ? 3 : 0, output };
  }

  #build(digest: string, machine: SimMachine): SimProgram {
    const random = this.#random;
    const key = `${digest} ${machine.name}`;
    const isBad = this.#badBuilds.get(key) ?? random.chance(0.25);
    this.#badBuilds.set(key, isBad);
    return { runMs: random.between(100, 60_000), exitCode: isBad || machine.isBroken ? 2 : 0, output: '' };
  }

  #run(start: Promise<void>): void {
    start.catch((error: unknown) => this.#broken(`a process cannot start: ${String(error)}`));
  }

  #broken(what: string): void {
    this.story.push(`${this.time.nowMs}: BROKEN ${what}`);
    this.#found.push(what);
  }

  #log(): Log {
    const note = (facts: object, text: string) => this.story.push(`${text} ${JSON.stringify(facts)}`);
    return { debug() {}, info() {}, warn: note, error: note };
  }
}
