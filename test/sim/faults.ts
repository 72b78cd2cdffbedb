import type { SimAgent } from './sim-agent.ts';
import type { SimTime } from './sim-clock.ts';
import type { SimHead } from './sim-head.ts';
import type { SimNetwork } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import type { Tally } from './tally.ts';
import type { Fault, Weather } from './weather.ts';

/** What faults need of their world. */
export interface FaultPorts {
  readonly time: SimTime;
  readonly random: SimRandom;
  readonly head: SimHead;
  readonly network: SimNetwork;
  readonly agents: readonly SimAgent[];
  readonly weather: Weather;
  readonly tally: Tally;
  say(line: string): void;
  /** A process that cannot start is a broken promise. */
  run(start: Promise<void>): void;
}

/** How much of the log a disk that lied can lose, in records, and how much a damaged one. */
const liedRecordsMax = 12;
const damagedRecordsMax = 200;
/** How often the head is backed up, in milliseconds. */
const backupEveryMs = [60_000, 20 * 60_000] as const;
/** How far a wall clock is set from the true time, in milliseconds. */
const clockOffMaxMs = 5 * 3_600_000;

/** Harms the world now and then, until everything heals. */
export class Faults {
  readonly #ports: FaultPorts;

  constructor(ports: FaultPorts) {
    this.#ports = ports;
    const { time, random, weather } = ports;
    time.after(random.between(1_000, 2 * weather.faultEveryMs), () => this.#harm());
    time.after(random.between(...backupEveryMs), () => this.#backUp());
    time.after(weather.faultsForMs, () => this.#heal());
  }

  get #areOver(): boolean {
    return this.#ports.time.nowMs >= this.#ports.weather.faultsForMs;
  }

  /** An agent ended by itself: whoever looks after services starts it again. */
  agentDied(agent: SimAgent): void {
    this.#ports.tally.note('agent out of room');
    this.#say(`${agent.machine.name} has no room for its record`);
    this.#restartLater(agent);
  }

  #harm(): void {
    const { time, random, weather, agents } = this.#ports;
    if (this.#areOver) return;
    this.#do(random.pick(weather.faults), random.pick(agents));
    time.after(random.between(1, 2 * weather.faultEveryMs), () => this.#harm());
  }

  #do(fault: Fault, agent: SimAgent): void {
    const { time, random, network, weather, tally, head } = this.#ports;
    const { machine } = agent;
    const { name } = machine;
    switch (fault) {
      case 'head-killed':
      case 'head-power':
      case 'head-lied':
      case 'head-damaged':
      case 'head-restored':
        return this.#headFault(fault);
      case 'agent-killed':
      case 'reboot':
        if (machine.host.isAsleep) return;
        this.#say(`${fault} ${name}`);
        if (fault === 'reboot') agent.reboot();
        else agent.crash();
        return this.#restartLater(agent);
      case 'cut':
        this.#say(`cut ${name}`);
        return network.cut(name);
      case 'silence': {
        const forMs = random.between(...random.pick(weather.silentMs));
        this.#say(`silence ${name}, for ${forMs} ms`);
        return network.silence(name, forMs);
      }
      case 'slow':
        network.setDelay(name, [0, random.between(10, 2_000)]);
        return time.after(60_000, () => network.setDelay(name, weather.delayMs));
      case 'disk-full':
        head.diskIsFull = true;
        return time.after(random.between(1_000, 120_000), () => {
          head.diskIsFull = false;
        });
      case 'agent-disk-full':
        this.#say(`disk full ${name}`);
        machine.diskIsFull = true;
        return time.after(random.between(1_000, 180_000), () => {
          machine.diskIsFull = false;
        });
      case 'sleep': {
        const forMs = random.between(...random.pick(weather.silentMs));
        this.#say(`sleep ${name}, for ${forMs} ms`);
        tally.note('sleep');
        machine.host.sleep(forMs);
        return network.asleep(name);
      }
      case 'clock': {
        const offsetMs = random.between(-clockOffMaxMs, clockOffMaxMs);
        const host = random.chance(0.5) ? head.host : machine.host;
        this.#say(`clock of ${host === head.host ? 'the head' : name}, off by ${offsetMs} ms`);
        tally.note('clock jump');
        return host.setWall(offsetMs);
      }
      case 'broken-machine':
        this.#say(`everything fails on ${name}`);
        machine.isBroken = true;
        return time.after(random.between(60_000, 10 * 60_000), () => {
          machine.isBroken = false;
        });
    }
  }

  #headFault(fault: Extract<Fault, `head-${string}`>): void {
    const { time, random, weather, head, tally } = this.#ports;
    const awayMs = random.between(...random.pick(weather.awayMs));
    this.#say(`${fault}, for ${awayMs} ms`);
    head.crash(fault !== 'head-killed');
    time.after(awayMs, () => this.#startHead());
    if (fault === 'head-lied') {
      tally.note('lost tail');
      head.loseTail(random.between(1, liedRecordsMax), false);
    } else if (fault === 'head-damaged') head.loseTail(random.between(1, damagedRecordsMax), true);
    else if (fault === 'head-restored') head.restore();
  }

  #backUp(): void {
    const { time, random, head } = this.#ports;
    if (head.isRunning && !this.#areOver) head.backUp();
    time.after(random.between(...backupEveryMs), () => this.#backUp());
  }

  #heal(): void {
    const { network, head, agents } = this.#ports;
    this.#say('everything heals');
    network.heal();
    head.diskIsFull = false;
    this.#startHead();
    for (const agent of agents) {
      agent.machine.diskIsFull = false;
      agent.machine.isBroken = false;
      this.startAgent(agent);
    }
  }

  /** Starts an agent that does not run. */
  startAgent(agent: SimAgent): void {
    const { time } = this.#ports;
    const { host } = agent.machine;
    if (agent.isRunning) return;
    if (host.isAsleep) time.after(host.asleepUntilMs - time.nowMs, () => this.startAgent(agent));
    else this.#ports.run(agent.start());
  }

  #restartLater(agent: SimAgent): void {
    const { time, random, weather } = this.#ports;
    time.after(random.between(...random.pick(weather.awayMs)), () => this.startAgent(agent));
  }

  #startHead(): void {
    const { head } = this.#ports;
    if (!head.isRunning) this.#ports.run(head.start());
  }

  #say(line: string): void {
    this.#ports.say(`${this.#ports.time.nowMs}: ${line}`);
  }
}
