import { type Metadata, status } from '@grpc/grpc-js';
import type { HostTime, SimTime } from './sim-clock.ts';
import type { SimRandom } from './sim-random.ts';
import { type ClientEnd, type Codec, type Line, type ServerEnd, SimCall } from './sim-stream.ts';

/** What answers calls on the head's host; nothing while no head runs there. */
export interface SimServer {
  accept(path: string, end: ServerEnd): void;
}

/** A call as the generated client describes it. */
export interface CallKind {
  readonly path: string;
  readonly request: Codec;
  readonly response: Codec;
}

/** The lines between the head and its agents' hosts. */
export class SimNetwork {
  readonly #time: SimTime;
  readonly #random: SimRandom;
  readonly #healthy: Line;
  readonly #lines = new Map<string, Line>();
  #calls: { readonly host: string; readonly call: SimCall }[] = [];
  server: SimServer | undefined;

  /** `delayMs`: how long messages take while nothing is wrong. */
  constructor(time: SimTime, random: SimRandom, delayMs: Line['delayMs']) {
    this.#time = time;
    this.#random = random;
    this.#healthy = { delayMs, silentUntilMs: 0 };
  }

  /** Makes a call from a host to the head. */
  call(host: string, hostTime: HostTime, kind: CallKind, metadata: Metadata): ClientEnd {
    const line = () => this.#lines.get(host) ?? this.#healthy;
    const ports = { time: this.#time, random: this.#random, host: hostTime, line };
    const call = new SimCall(ports, kind, { path: kind.path, metadata, peer: host });
    const { server } = this;
    this.#calls = this.#calls.filter((other) => !other.call.isOver);
    if (server) {
      this.#calls.push({ host, call });
      server.accept(kind.path, call.server);
    } else hostTime.after(1, () => call.client.fail(status.UNAVAILABLE, 'connection refused'));
    return call.client;
  }

  /** Every connection of a host breaks. */
  cut(host: string): void {
    for (const call of this.#of(host)) call.cut();
  }

  /** Nothing comes through for so long. */
  silence(host: string, forMs: number): void {
    const line = this.#lines.get(host) ?? this.#healthy;
    this.#lines.set(host, { ...line, silentUntilMs: Math.max(line.silentUntilMs, this.#time.nowMs + forMs) });
    for (const call of this.#of(host)) call.lineFellSilent();
  }

  /** A host has fallen asleep. */
  asleep(host: string): void {
    for (const call of this.#of(host)) call.clientFellAsleep();
  }

  setDelay(host: string, delayMs: readonly [number, number]): void {
    this.#lines.set(host, { ...(this.#lines.get(host) ?? this.#healthy), delayMs });
  }

  /** Every line is as it should be from now on. */
  heal(): void {
    this.#lines.clear();
  }

  killHead(): void {
    this.server = undefined;
    for (const { call } of this.#calls) call.killServer();
  }

  killAgent(host: string): void {
    for (const call of this.#of(host)) call.killClient();
  }

  powerOff(host: string): void {
    for (const call of this.#of(host)) call.vanishClient();
  }

  #of(host: string): SimCall[] {
    return this.#calls.filter((other) => other.host === host).map(({ call }) => call);
  }
}
