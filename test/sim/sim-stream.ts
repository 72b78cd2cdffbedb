import { Duplex } from 'node:stream';
import { Metadata, status } from '@grpc/grpc-js';
import type { HostTime, SimTime } from './sim-clock.ts';
import type { SimRandom } from './sim-random.ts';

/** How the line between two hosts is now. */
export interface Line {
  /** Milliseconds a message takes, at least and at most. */
  readonly delayMs: readonly [least: number, most: number];
  /** Until this moment nothing comes through, and nobody is told; what was sent comes afterwards. */
  readonly silentUntilMs: number;
}

/** How messages of a call become bytes and messages again. */
export interface Codec {
  encode(message: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

/** What one call needs of its world. */
export interface CallPorts {
  readonly time: SimTime;
  readonly random: SimRandom;
  /** Of the caller; the answering host never sleeps. */
  readonly host: HostTime;
  /** The line as it is at this moment. */
  line(): Line;
}

/** After how long an end notices that the line is silent, in milliseconds: a ping, and the wait for its answer. */
const noticedMs = [20_000, 30_000] as const;

/** One two-way call: the ends that gRPC would give to the caller, and to the one who answers. */
export class SimCall {
  readonly client: ClientEnd;
  readonly server: ServerEnd;
  readonly #ports: CallPorts;
  readonly #toServer: Direction;
  readonly #toClient: Direction;

  constructor(
    ports: CallPorts,
    codecs: { readonly request: Codec; readonly response: Codec },
    call: { readonly path: string; readonly metadata: Metadata; readonly peer: string },
  ) {
    const client = new ClientEnd();
    const server = new ServerEnd(call.metadata, call.path, call.peer);
    const toServer = new Direction(ports, undefined);
    const toClient = new Direction(ports, ports.host);
    client.onWrite = (message) => {
      const bytes = codecs.request.encode(message);
      toServer.send(() => server.deliver(codecs.request.decode(bytes)));
    };
    server.onWrite = (message) => {
      const bytes = codecs.response.encode(message);
      toClient.send(() => client.deliver(codecs.response.decode(bytes)));
    };
    client.onGone = () => toServer.send(() => server.cancelByPeer());
    client.onEnd = () => toServer.send(() => server.deliver(null));
    server.onEnd = () => toClient.send(() => client.deliver(null));
    server.onStatus = (code, details, given) => toClient.send(() => client.fail(code, details, given));
    this.client = client;
    this.server = server;
    this.#ports = ports;
    this.#toServer = toServer;
    this.#toClient = toClient;
    this.lineFellSilent();
  }

  get isOver(): boolean {
    return this.client.destroyed && this.server.destroyed;
  }

  /** The connection breaks: what is on its way is lost, and each end is told. */
  cut(): void {
    this.#toServer.lose();
    this.#toClient.lose();
    this.#breakServer();
    this.#breakClient();
  }

  /** The caller's process is killed: what it has handed to its kernel still arrives. */
  killClient(): void {
    this.#toClient.lose();
    this.client.onWrite = () => {};
    this.#toServer.send(() => this.server.cancelByPeer());
  }

  /** The answering process is killed. */
  killServer(): void {
    this.#toServer.lose();
    this.server.onWrite = () => {};
    this.server.onStatus = () => {};
    this.server.onEnd = () => {};
    this.#toClient.send(() => this.client.fail(status.UNAVAILABLE, 'the connection was lost'));
  }

  /** A host has gone without a word: the other end notices by itself. */
  vanishClient(): void {
    this.#toServer.lose();
    this.#toClient.lose();
    this.client.onWrite = () => {};
    this.#later(this.#ports.time, noticedMs, () => this.server.cancelByPeer());
  }

  /** Each end notices a line that stays silent for longer than a ping takes. */
  lineFellSilent(): void {
    const { time } = this.#ports;
    if (this.#ports.line().silentUntilMs <= time.nowMs) return;
    const isSilent = () => this.#ports.line().silentUntilMs > time.nowMs;
    // Who has given up resets the connection when the other end is heard of again.
    this.#later(this.#ports.host, noticedMs, () => {
      if (!isSilent()) return;
      this.client.fail(status.UNAVAILABLE, 'no answer to a ping');
      this.#toServer.send(() => this.server.cancelByPeer());
    });
    this.#later(time, noticedMs, () => {
      if (isSilent()) this.#giveClientUp();
    });
  }

  /** The caller's host has fallen asleep: the other end notices, and resets the connection. */
  clientFellAsleep(): void {
    this.#later(this.#ports.time, noticedMs, () => {
      if (this.#ports.host.isAsleep) this.#giveClientUp();
    });
  }

  #giveClientUp(): void {
    this.server.cancelByPeer();
    this.#toClient.send(() => this.client.fail(status.UNAVAILABLE, 'the connection was reset'));
  }

  #breakServer(): void {
    this.#later(this.#ports.time, [0, 50], () => this.server.cancelByPeer());
  }

  #breakClient(): void {
    this.#later(this.#ports.host, [0, 50], () => this.client.fail(status.UNAVAILABLE, 'the connection was lost'));
  }

  #later(time: Pick<SimTime, 'after'>, withinMs: readonly [number, number], what: () => void): void {
    time.after(this.#ports.random.between(...withinMs), what);
  }
}

/** One direction of a call: messages keep their order, and after one that is lost comes none. */
class Direction {
  readonly #ports: CallPorts;
  /** Who hears nothing while asleep. */
  readonly #receiver: HostTime | undefined;
  #waiting: { readonly atMs: number; readonly deliver: () => void }[] = [];
  /** When the last message arrives that is on its way. */
  #arrivesMs = 0;
  #lost = false;

  constructor(ports: CallPorts, receiver: HostTime | undefined) {
    this.#ports = ports;
    this.#receiver = receiver;
  }

  send(deliver: () => void): void {
    if (this.#lost) return;
    const { time, random } = this.#ports;
    const { delayMs, silentUntilMs } = this.#ports.line();
    const fromMs = Math.max(time.nowMs, silentUntilMs);
    this.#arrivesMs = Math.max(this.#arrivesMs, fromMs + random.between(...delayMs));
    this.#waiting.push({ atMs: this.#arrivesMs, deliver });
    if (this.#waiting.length === 1) this.#wait(this.#arrivesMs);
  }

  /** What has not arrived yet never will. */
  lose(): void {
    this.#lost = true;
    this.#waiting = [];
  }

  #wait(untilMs: number): void {
    this.#ports.time.after(untilMs - this.#ports.time.nowMs, () => this.#arrive());
  }

  #arrive(): void {
    const { nowMs } = this.#ports.time;
    const openMs = Math.max(this.#ports.line().silentUntilMs, this.#receiver?.asleepUntilMs ?? 0);
    if (openMs > nowMs) return this.#wait(openMs);
    const [first] = this.#waiting;
    if (!first) return;
    this.#waiting.shift();
    const [next] = this.#waiting;
    if (next) this.#wait(next.atMs);
    first.deliver();
  }
}

/** What both ends have in common: objects in both directions, in the stream of Node that gRPC gives, too. */
abstract class End extends Duplex {
  onWrite: (message: unknown) => void = () => {};
  onEnd: () => void = () => {};

  constructor() {
    super({ objectMode: true, highWaterMark: 64 });
  }

  deliver(message: unknown): void {
    if (!this.destroyed) this.push(message);
  }

  override _read(): void {}

  override _write(message: unknown, _encoding: string, done: () => void): void {
    this.onWrite(message);
    done();
  }

  override _final(done: () => void): void {
    this.onEnd();
    done();
  }
}

/** The caller's end. */
export class ClientEnd extends End {
  onGone: () => void = () => {};
  #gone = false;

  cancel(): void {
    this.#leave();
    if (!this.destroyed) this.push(null);
  }

  fail(code: status, details: string, metadata = new Metadata()): void {
    if (this.#gone || this.destroyed) return;
    this.#gone = true;
    this.destroy(Object.assign(new Error(details), { code, details, metadata }));
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#leave();
    done(error);
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.onGone();
  }
}

/** The answering end. */
export class ServerEnd extends End {
  readonly metadata: Metadata;
  cancelled = false;
  onStatus: (code: status, details: string, metadata: Metadata) => void = () => {};
  readonly #path: string;
  readonly #peer: string;

  constructor(metadata: Metadata, path: string, peer: string) {
    super();
    this.metadata = metadata;
    this.#path = path;
    this.#peer = peer;
    this.on('error', (error: Error & { code?: status; details?: string; metadata?: Metadata }) => {
      this.onStatus(error.code ?? status.UNKNOWN, error.details ?? error.message, error.metadata ?? new Metadata());
    });
  }

  getPath(): string {
    return this.#path;
  }

  getPeer(): string {
    return this.#peer;
  }

  /** The caller has gone. */
  cancelByPeer(): void {
    if (this.cancelled || this.destroyed) return;
    this.cancelled = true;
    this.emit('cancelled', 'cancelled');
    this.destroy();
  }
}
