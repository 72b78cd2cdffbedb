import { callerMetadata } from '../../base/channel/caller.ts';
import { readStream, writeTo } from '../../base/channel/streams.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { Fault, RefusedError } from '../../base/errors.ts';
import { Gate } from '../../base/gate.ts';
import type { NodeId } from '../../base/ids.ts';
import type {
  AgentLinkClient,
  AgentMessage,
  HeadDelta,
  HeadMessage,
  Hello,
} from '../../proto/gen/labrun/v1/agent_link.ts';
import type { ShellOrder } from '../effects/shells.ts';
import {
  type AgentNews,
  type HeadWord,
  readHeadChange,
  readShellOrder,
  readWelcome,
  type Welcome,
  writeNews,
} from '../wire.ts';
import type { Outbox } from './outbox.ts';
import { Wake } from './wake.ts';

/** What a session dials with. */
export type LinkClient = Pick<AgentLinkClient, 'link' | 'close'>;

/** What a session needs to know of its agent. */
export interface SessionPorts {
  readonly clock: Clock;
  readonly nodeId: NodeId;
  readonly outbox: Outbox;
  /** Everything held, as of now. */
  hello(): Hello;
  /** The head has answered. Rejects when this head is not ours. */
  welcomed(welcome: Welcome): Promise<void>;
  /** One word of the head; what it changes is durable once `durable` has resolved. */
  heard(word: HeadWord): void;
  /** Somebody wants a terminal here, now: nothing of it is kept. */
  openShell(order: ShellOrder): void;
  /** The head has said what is still this node's, and has heard what was sent at this moment, by the clock that counts time asleep. */
  leased(heardMs: number): void;
  /** Why no jobs are taken now; empty: they are. It goes with heartbeats, past everything that waits for the disk. */
  trouble(): string;
  /** A word that could not be read. */
  garbled(message: string): void;
  /** Resolves when everything saved so far would be found by an agent started after this one was killed. */
  written(): Promise<void>;
  /** Resolves when everything saved so far is on disk. */
  durable(): Promise<void>;
}

/** Changes in one delta: far below the largest message, also when each carries a small archive. */
const changesMax = 256;
/** How long an acknowledgement waits for news to go along with, in milliseconds. */
const answerMs = 50;
/** Deltas on their way without an acknowledgement; then news waits (and is told in fewer reports). */
const deltasInFlightMax = 32;

/** One connection of the control stream, from hello to its end. */
export class Session {
  readonly #ports: SessionPorts;
  readonly #stream: ReturnType<AgentLinkClient['link']>;
  readonly #wake = new Wake();
  #sentSeq = 0n;
  #ackedSeq = 0n;
  /** News was taken out of the outbox and has no number yet. */
  #sending = false;
  readonly #told = new Gate(
    () => this.#ackedSeq === this.#sentSeq && !this.#sending && this.#ports.outbox.isEmpty && this.#isCompared,
  );
  #heardSeq = 0n;
  #answeredSeq = 0n;
  #answer: Timer | undefined;
  #mayAnswer = false;
  #ended = false;
  /** The head has compared what we hold with what we should: its first delta says so, be it empty. */
  #isCompared = false;
  /** When we sent the latest word of which the head has shown that it heard it, by the clock that counts time asleep. */
  #heardMs = 0;
  /** Of an older head every word must do, though it may have been sent before ours. */
  #echoes = true;

  constructor(client: LinkClient, ports: SessionPorts) {
    this.#ports = ports;
    this.#stream = client.link(callerMetadata({ kind: 'node', name: ports.nodeId }));
  }

  /** There is news in the outbox. */
  poke(): void {
    this.#wake.now();
  }

  /** Resolves when the head has acknowledged all there is to tell; rejects with the signal's reason. */
  told(signal: AbortSignal): Promise<void> {
    return this.#told.pass(signal);
  }

  /** Talks until the connection ends; always rejects with why. Aborting the signal ends it. */
  async run(signal: AbortSignal): Promise<never> {
    const messages = readStream<HeadMessage>(this.#stream, signal);
    const { clock, trouble } = this.#ports;
    // What is noted from here on is newer than the hello.
    this.#ports.outbox.clear();
    const hello = this.#ports.hello();
    this.#heardMs = clock.sinceBootMs(); // nobody asks before it has been answered
    await this.#ports.durable();
    await this.#send({ message: { $case: 'hello', value: hello } });
    let talking: Promise<void> | undefined;
    let beat: Timer | undefined;
    try {
      for await (const message of messages) {
        if (talking !== undefined) {
          this.#take(message);
          continue;
        }
        const welcome = this.#readWelcome(message);
        this.#echoes = welcome.echoes;
        await this.#ports.welcomed(welcome);
        talking = this.#talk();
        // Its failure ends the stream, and with it the loop above; it is awaited below.
        talking.catch((error: unknown) => this.#stream.destroy(error instanceof Error ? error : undefined));
        const next = () => {
          this.#stream.write({
            message: {
              $case: 'heartbeat',
              value: { sentMs: BigInt(Math.floor(clock.sinceBootMs())), trouble: trouble() },
            },
          });
          beat = clock.setTimer(welcome.heartbeatMs, next);
        };
        beat = clock.setTimer(welcome.heartbeatMs, next);
      }
    } finally {
      beat?.cancel();
      this.#answer?.cancel();
      this.#ended = true;
      this.#wake.now();
      this.#stream.destroy();
      await talking?.catch(() => undefined); // the stream's own error, which is being thrown, says more
    }
    throw new Fault('closed', 'the head closed the connection');
  }

  #readWelcome(message: HeadMessage): Welcome {
    if (message.message?.$case !== 'welcome') throw new Fault('protocol', 'the head did not begin with a welcome');
    const welcome = readWelcome(message.message.value);
    if ('code' in welcome) throw new RefusedError(welcome);
    return welcome;
  }

  #take(message: HeadMessage): void {
    switch (message.message?.$case) {
      case 'delta':
        this.#takeDelta(message.message.value);
        break;
      case 'acknowledged':
        this.#takeAcknowledgement(message.message.value);
        break;
      case 'heartbeat':
        this.#heardMs = Math.max(this.#heardMs, Number(message.message.value.sentMs ?? 0));
        break;
      case 'openShell': {
        const order = readShellOrder(message.message.value);
        if ('code' in order) this.#ports.garbled(order.message);
        else this.#ports.openShell(order);
        break;
      }
      default: // words of later releases
    }
    if (!this.#echoes) this.#heardMs = this.#ports.clock.sinceBootMs();
    if (this.#isCompared) this.#ports.leased(this.#heardMs);
  }

  #takeAcknowledgement(seq: bigint): void {
    const waited = this.#sentSeq - this.#ackedSeq >= deltasInFlightMax;
    this.#ackedSeq = seq;
    if (waited) this.#wake.now();
    this.#told.opened();
  }

  #takeDelta(delta: HeadDelta): void {
    if (delta.seq > this.#heardSeq) {
      this.#heardSeq = delta.seq;
      for (const change of delta.changes) {
        const word = readHeadChange(change);
        if ('code' in word) this.#ports.garbled(word.message);
        else this.#ports.heard(word);
      }
    }
    this.#isCompared = true;
    this.#told.opened();
    this.#answer ??= this.#ports.clock.setTimer(answerMs, () => {
      this.#answer = undefined;
      this.#mayAnswer = true;
      this.#wake.now();
    });
  }

  /** Tells news at once, and what was heard now and then: by then it is mostly on the disk. */
  async #talk(): Promise<void> {
    for (;;) {
      await this.#wake.wait();
      if (this.#ended) return;
      const mayTell = this.#sentSeq - this.#ackedSeq < deltasInFlightMax;
      const news = mayTell ? this.#ports.outbox.take(changesMax) : [];
      this.#sending = news.length > 0;
      if (news.some(isDecision)) await this.#ports.written();
      if (this.#mayAnswer) await this.#acknowledge();
      if (this.#ended) return;
      if (news.length > 0) {
        this.#sentSeq += 1n;
        this.#sending = false;
        const changes = news.map(writeNews);
        await this.#send({ message: { $case: 'delta', value: { seq: this.#sentSeq, changes } } });
      }
      if (mayTell && !this.#ports.outbox.isEmpty) this.#wake.now();
    }
  }

  async #acknowledge(): Promise<void> {
    this.#mayAnswer = false;
    const heardSeq = this.#heardSeq;
    await this.#ports.durable();
    if (heardSeq === this.#answeredSeq || this.#ended) return;
    this.#answeredSeq = heardSeq;
    await this.#send({ message: { $case: 'acknowledged', value: heardSeq } });
  }

  async #send(message: AgentMessage): Promise<void> {
    await writeTo(this.#stream, message);
  }
}

/**
 * Whether a restarted agent that did not remember this might start what is over. Of a job that ran, the end is seen again
 * in its folder; and once the head has it, the head is its keeper.
 */
function isDecision(news: AgentNews): boolean {
  if (news.kind !== 'attempt') return false;
  const { phase, startedMsAgo } = news.report;
  return phase === 'returned' || phase === 'lost' || (phase === 'ended' && startedMsAgo === undefined);
}
