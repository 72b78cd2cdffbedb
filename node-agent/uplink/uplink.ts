import { makeBackoff } from '../../base/backoff.ts';
import { formatAddress } from '../../base/channel/address.ts';
import type { Endpoint } from '../../base/channel/credentials.ts';
import { delay, type Timer } from '../../base/clock.ts';
import { Fault, messageOf } from '../../base/errors.ts';
import { Gate } from '../../base/gate.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { AgentNews, Welcome } from '../wire.ts';
import { reconnectLimits } from './backoff.ts';
import { Outbox } from './outbox.ts';
import { type LinkClient, Session, type SessionPorts } from './session.ts';
import type { Urgency } from './urgency.ts';

/** What the uplink needs. */
export interface UplinkPorts extends Omit<SessionPorts, 'outbox'> {
  /** Where to dial now, and what to show there. */
  endpoint(): Endpoint;
  dial(endpoint: Endpoint): LinkClient;
  readonly random: Random;
  readonly log: Log;
  /** A line for people: `connected to …`, `disconnected: …`. */
  say(line: string): void;
}

/** How long news that is not urgent is held back, in milliseconds. */
const settleMs = 50;

/** Keeps the agent and its head in touch: dials, redials for ever, and brings news across once the disk has it. */
export class Uplink {
  readonly #ports: UplinkPorts;
  readonly #outbox = new Outbox();
  readonly #stop = new AbortController();
  readonly #gate = new Gate(() => this.#connected);
  #session: Session | undefined;
  #settling: Timer | undefined;
  #connected = false;
  #running: Promise<void> | undefined;

  constructor(ports: UplinkPorts) {
    this.#ports = ports;
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  start(): void {
    this.#running = this.#run();
  }

  /**
   * There is news under this key; it is told once what was recorded before is on disk. A job of a few milliseconds has
   * one report, its end: the states before are passing news.
   */
  note(key: string, make: () => AgentNews | undefined, urgency: Urgency): void {
    this.#outbox.note(key, make, urgency);
    if (urgency === 'now') this.#session?.poke();
    else this.#settleSoon();
  }

  /** Resolves while a head of our cluster listens: at once, or when it is back. */
  connected(signal: AbortSignal): Promise<void> {
    return this.#gate.pass(signal);
  }

  /** Resolves when the head has acknowledged all that was noted, at once when no head listens; rejects with the signal's reason. */
  async told(signal: AbortSignal): Promise<void> {
    if (this.#connected) await this.#session?.told(signal);
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the agent is stopping'));
    this.#settling?.cancel();
    await this.#running;
  }

  #settleSoon(): void {
    this.#settling ??= this.#ports.clock.setTimer(settleMs, () => {
      this.#settling = undefined;
      this.#outbox.settle();
      this.#session?.poke();
    });
  }

  async #run(): Promise<void> {
    const { clock, random, log, say } = this.#ports;
    const backoff = makeBackoff(reconnectLimits, random);
    const signal = this.#stop.signal;
    let told = '';
    while (!signal.aborted) {
      const address = this.#ports.endpoint();
      const client = this.#ports.dial(address);
      try {
        this.#session = new Session(client, {
          ...this.#ports,
          outbox: this.#outbox,
          welcomed: async (welcome: Welcome) => {
            await this.#ports.welcomed(welcome);
            backoff.reset();
            this.#connected = true;
            this.#gate.opened();
            told = '';
            say(`connected to ${formatAddress(address)}`);
          },
        });
        await this.#session.run(signal);
      } catch (error) {
        const why = signal.aborted ? 'stopping' : reasonOf(error);
        if (this.#connected) say(`disconnected: ${why}`);
        // Every try fails alike while a head is down; only a new reason is news.
        else if (why !== told && !signal.aborted) say(`not connected to ${formatAddress(address)}: ${why}; trying on`);
        if (!this.#connected) told = why;
        log.debug({ error: messageOf(error) }, 'the connection to the head has ended');
      } finally {
        this.#connected = false;
        this.#session = undefined;
        client.close();
      }
      if (!signal.aborted) await delay(clock, backoff.nextMs(), signal).catch(() => undefined); // only close() ends it early
    }
  }
}

/** What to say of a connection that ended: the transport's own words help nobody. */
function reasonOf(error: unknown): string {
  return error instanceof Fault && error.code === 'UNAVAILABLE' ? 'no head answers' : messageOf(error);
}
