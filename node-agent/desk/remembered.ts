import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { movePauses } from '../presence/pauses.ts';
import type { AgentRecord } from '../store/agent-record.ts';
import { blankMemory, type DeskMemory, readDeskMemory, writeDeskMemory } from './desk-memory.ts';

/** Where it is kept, and the two clocks that it is translated between. */
export interface RememberedPorts {
  /** Never jumps. */
  readonly clock: Clock;
  /** The wall clock: what a record means after the machine was started again. */
  wallMs(): number;
  readonly log: Log;
  readonly record: Pick<AgentRecord, 'desk' | 'noteDesk'>;
}

/** Clocks that drift apart by less were not set, in milliseconds. */
const setByMs = 1_000;

/** What the desk remembers. Its pauses are by the clock that never jumps; as they are kept, by the wall clock. */
export class Remembered {
  readonly #ports: RememberedPorts;
  #memory: DeskMemory;
  /** How far the wall clock was ahead of ours when the memory was kept. */
  #keptShiftMs = 0;

  constructor(ports: RememberedPorts) {
    this.#ports = ports;
    const kept = readDeskMemory(ports.record.desk);
    if (!kept) ports.log.error({}, 'what the desk has remembered cannot be read: pauses and policy are gone');
    const memory = kept ?? blankMemory;
    this.#memory = { ...memory, pauses: movePauses(memory.pauses, -this.#shiftMs()) };
  }

  get now(): DeskMemory {
    return this.#memory;
  }

  /** A later agent knows the wall clock alone: when that was set since, what is kept is wrong. */
  get isKeptWrong(): boolean {
    return this.#memory.pauses.length > 0 && Math.abs(this.#shiftMs() - this.#keptShiftMs) > setByMs;
  }

  /** Is on the disk when the record says so. */
  note(change: Partial<DeskMemory>): void {
    this.#memory = { ...this.#memory, ...change };
    this.#keptShiftMs = this.#shiftMs();
    const pauses = movePauses(this.#memory.pauses, this.#keptShiftMs);
    this.#ports.record.noteDesk(writeDeskMemory({ ...this.#memory, pauses }));
  }

  #shiftMs(): number {
    return this.#ports.wallMs() - this.#ports.clock.nowMs();
  }
}
