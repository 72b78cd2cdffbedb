import type { ServerDuplexStream } from '@grpc/grpc-js';
import { background } from '../../base/background.ts';
import { failed, orThrow } from '../../base/channel/answer.ts';
import { statusFromRefusal } from '../../base/channel/refusals.ts';
import { writeTo } from '../../base/channel/streams.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { cutOff, type Refusal, RefusedError, refused } from '../../base/errors.ts';
import type { NodeId } from '../../base/ids.ts';
import type {
  AgentDelta,
  AgentLinkServer,
  AgentMessage,
  HeadMessage,
  Heartbeat,
  Hello,
} from '../../proto/gen/labrun/v1/agent_link.ts';
import type { OpenShell } from '../../proto/gen/labrun/v1/shell.ts';
import { protocol, readHello } from '../agent-wire.ts';
import { readChanges } from '../delta-wire.ts';
import { Session, type SessionPorts } from '../dispatch/session.ts';
import { noticeUnknown } from '../notice-gap.ts';
import type { Notices } from '../notices.ts';
import { knownBatch } from '../scheduler/retired.ts';
import { callingNode } from '../wire.ts';
import type { Door } from './door.ts';
import { attend, messagesOf } from './handle.ts';

/** What the service needs besides what each session does. */
export interface AgentLinkPorts extends Omit<SessionPorts, 'nodeId' | 'send'> {
  readonly clock: Clock;
  readonly version: string;
  readonly heartbeatMs: number;
  /** How long a silent node's attempts stay its own, in milliseconds. */
  readonly leaseMs: number;
  readonly notices: Notices;
}

/** Deltas of one agent that are worked on at once: twice what an honest one sends without an acknowledgement. */
const deltasMax = 64;

/** Longest sentence kept of what troubles a node, in characters. */
const troubleMax = 500;

type Stream = ServerDuplexStream<AgentMessage, HeadMessage>;

/** The agents' door: one session per node; a second one of the same node displaces the first. */
export class AgentLinks {
  readonly #ports: AgentLinkPorts;
  readonly #links = new Map<NodeId, Link>();

  constructor(ports: AgentLinkPorts) {
    this.#ports = ports;
  }

  /** The implementation to add to a server, behind its door. */
  service(door: Door): AgentLinkServer {
    return { link: (stream) => background(this.#serve(stream, door)) };
  }

  /** How long a connected node has been silent, in milliseconds; nothing when it is not connected. */
  silentMs(nodeId: NodeId): number | undefined {
    const link = this.#links.get(nodeId);
    return link && this.#ports.clock.monotonicMs() - link.heardMs;
  }

  /** Tells a connected node to bring its end of a terminal; false: it is not connected. */
  openShell(nodeId: NodeId, order: OpenShell): boolean {
    return this.#links.get(nodeId)?.openShell(order) ?? false;
  }

  async #serve(stream: Stream, door: Door): Promise<void> {
    try {
      await attend(door, 'agent.link', stream, 'stream', ({ caller }) =>
        this.#talk(stream, orThrow(callingNode(caller))),
      );
      stream.end();
    } catch (error) {
      // Who has gone cannot be told anything, and that writing to them failed is no news.
      if (!stream.cancelled) stream.emit('error', failed(door.log, stream.getPath(), error));
    }
  }

  async #talk(stream: Stream, nodeId: NodeId): Promise<void> {
    const link = new Link(stream, nodeId, this.#ports);
    try {
      await link.run(() => {
        this.#links
          .get(nodeId)
          ?.cut(refused('conflict', 'Cannot go on: another agent with this node id has connected'));
        this.#links.set(nodeId, link);
      });
    } finally {
      if (this.#links.get(nodeId) === link) {
        this.#links.delete(nodeId);
        await this.#ports.engine.submit({ kind: 'system', name: 'head' }, { kind: 'disconnect-node', nodeId });
      }
    }
  }
}

/** One stream, from hello to its end. */
class Link {
  readonly #stream: Stream;
  readonly #nodeId: NodeId;
  readonly #ports: AgentLinkPorts;
  heardMs: number;
  #cut: Refusal | undefined;
  #session: Session | undefined;
  #name = '';
  /** As it said last; nothing yet. */
  #trouble: string | undefined;
  #sentSeq = 0n;
  #taken: Promise<void> = Promise.resolve();
  #untaken = 0;

  constructor(stream: Stream, nodeId: NodeId, ports: AgentLinkPorts) {
    this.#stream = stream;
    this.#nodeId = nodeId;
    this.#ports = ports;
    this.heardMs = ports.clock.monotonicMs();
  }

  /** Ends the stream with a reason. */
  cut(why: Refusal): void {
    this.#cut = why;
    this.#stream.emit('error', statusFromRefusal(why));
    this.#stream.destroy();
  }

  /** Said once and not kept: whoever asked waits for the answer. */
  openShell(order: OpenShell): boolean {
    if (this.#session === undefined || this.#stream.destroyed) return false;
    this.#stream.write({ message: { $case: 'openShell', value: order } });
    return true;
  }

  /** Talks until the stream ends. `welcomed` is called when the node is connected. */
  async run(welcomed: () => void): Promise<void> {
    let beat: Timer | undefined;
    try {
      for await (const message of this.#messages()) {
        this.heardMs = this.#ports.clock.monotonicMs();
        if (this.#session === undefined) {
          if (message.message?.$case !== 'hello')
            throw new RefusedError(refused('invalid', 'Cannot link: the first message must be a hello'));
          await this.#welcome(message.message.value, welcomed);
          beat = this.#startBeat((timer) => {
            beat = timer;
          });
        } else if (message.message?.$case === 'delta') await this.#take(message.message.value, this.#session);
        else if (message.message?.$case === 'heartbeat') {
          this.#echo(message.message.value);
          await this.#hearTrouble(message.message.value.trouble);
        }
      }
    } finally {
      beat?.cancel();
      this.#session?.close();
    }
    if (this.#cut) throw new RefusedError(this.#cut);
  }

  /** What keeps the node from taking jobs, when that is new. Agents of earlier releases know of nothing, whatever later ones have said. */
  async #hearTrouble(said = ''): Promise<void> {
    const trouble = said.slice(0, troubleMax);
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    const command = { kind: 'trouble-node', nodeId: this.#nodeId, trouble } as const;
    const verdict = await this.#ports.engine.submit({ kind: 'node', name: this.#name }, command);
    // Too busy now: the next heartbeat says it again.
    if (verdict.kind === 'refused') this.#trouble = undefined;
  }

  async *#messages(): AsyncGenerator<AgentMessage> {
    try {
      for await (const message of messagesOf<AgentMessage>(this.#stream)) yield message;
    } catch (error) {
      // A connection that breaks is an ordinary end: the agent dials again.
      this.#ports.log.debug({ node: this.#nodeId, error: String(error) }, 'an agent’s stream broke');
    }
  }

  async #welcome(hello: Hello, welcomed: () => void): Promise<void> {
    const { engine, clusterId, version, heartbeatMs, leaseMs } = this.#ports;
    const greeting = readHello(hello, this.#nodeId, clusterId);
    if ('code' in greeting) throw new RefusedError(greeting);
    welcomed();
    // Who has joined is known by the name they joined with; a local agent names itself.
    const joined = await engine.query(({ access }) => access.members.get(this.#nodeId)?.name);
    const name = joined ?? greeting.command.name;
    this.#name = name;
    const verdict = await engine.submit({ kind: 'node', name }, { ...greeting.command, name, leaseMs });
    if (verdict.kind === 'refused') throw new RefusedError(verdict);
    const { epoch, unknown } = await engine.query((state) => {
      const batches = greeting.reports.map(({ attempt }) => attempt.batchId);
      return { epoch: state.epoch, unknown: new Set(batches.filter((id) => !knownBatch(state, id))) };
    });
    noticeUnknown(this.#ports.notices, this.#nodeId, name, unknown);
    const welcome = {
      protocol,
      features: ['heartbeat.echo'],
      version,
      clusterId,
      epoch: BigInt(epoch),
      leaseMs: BigInt(leaseMs),
      heartbeatMs: BigInt(heartbeatMs),
    };
    await writeTo(this.#stream, { message: { $case: 'welcome', value: welcome } });
    const session = new Session(
      { ...this.#ports, nodeId: this.#nodeId, send: (changes) => this.#sendDelta([...changes]) },
      name,
      greeting.failedBuilds,
    );
    this.#session = session;
    await session.take({ reports: greeting.reports });
  }

  /** Takes a delta; the acknowledgement follows when it is durable, and deltas are acknowledged in order. */
  async #take(delta: AgentDelta, session: Session): Promise<void> {
    const { clusterId, log } = this.#ports;
    const news = readChanges(delta.changes, clusterId, ({ code, message }) =>
      log.warn({ node: this.#nodeId, code }, cutOff(message)),
    );
    const before = this.#taken;
    const taken = session.take(news);
    this.#taken = Promise.all([before, taken]).then(async () => {
      if (!this.#stream.destroyed)
        await writeTo(this.#stream, { message: { $case: 'acknowledged', value: delta.seq } });
    });
    this.#taken.catch((error: unknown) =>
      log.debug({ node: this.#nodeId, error: String(error) }, 'an acknowledgement was not sent'),
    );
    // An honest agent waits for acknowledgements; the others are not read any further.
    this.#untaken += 1;
    const counted = () => {
      this.#untaken -= 1;
    };
    const settled = this.#taken.then(counted, counted);
    if (this.#untaken >= deltasMax) await settled;
  }

  async #sendDelta(changes: Parameters<SessionPorts['send']>[0]): Promise<void> {
    this.#sentSeq += 1n;
    await writeTo(this.#stream, { message: { $case: 'delta', value: { seq: this.#sentSeq, changes: [...changes] } } });
  }

  /** Shows the agent what was heard, by its own clock. One that does not read has none kept for it: its next one counts. */
  #echo({ sentMs }: Heartbeat): void {
    if (sentMs === undefined || this.#stream.destroyed || this.#stream.writableNeedDrain) return;
    this.#stream.write({ message: { $case: 'heartbeat', value: { sentMs, trouble: undefined } } });
  }

  #startBeat(keep: (timer: Timer) => void): Timer {
    const { clock, heartbeatMs } = this.#ports;
    const next = (): void => {
      if (this.#stream.destroyed) return;
      this.#stream.write({ message: { $case: 'heartbeat', value: { sentMs: undefined, trouble: undefined } } });
      keep(clock.setTimer(heartbeatMs, next));
    };
    return clock.setTimer(heartbeatMs, next);
  }
}
