import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readAddress } from '../../../base/channel/address.ts';
import { call, openClient } from '../../../base/channel/client.ts';
import { readStream } from '../../../base/channel/streams.ts';
import { makeKeyRequest } from '../../../base/pki/request.ts';
import { readToken } from '../../../base/pki/token.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { writeSpec } from '../../../config/spec-file.ts';
import { initHead } from '../../../head/main.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { openStore } from '../../../head/store/open.ts';
import { AttemptPhase } from '../../../proto/gen/labrun/v1/agent_link.ts';
import { BatchesClient } from '../../../proto/gen/labrun/v1/batches.ts';
import type { Fence } from '../../../proto/gen/labrun/v1/common.ts';
import { NodesClient } from '../../../proto/gen/labrun/v1/nodes.ts';
import { HeadProcess } from '../../kit/head-process.ts';
import { aSelector, newBatchId } from '../../kit/head-world.ts';
import { archiveOf, LinkAgent } from '../../kit/link-agent.ts';
import { aGroup, aMatrix, aSpec } from '../../kit/spec.ts';
import { putAs, submitAs } from '../../kit/submit-as.ts';
import { Guests } from './guests.ts';
import type { Refs } from './tree.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';

const cpus = 4_096;
const answerMs = 5_000;
const ended: readonly string[] = ['succeeded', 'failed', 'cancelled', 'queued', 'held'];

/** A head of its own process with people, machines, batches that run and have ended, and words for all of these. */
export class World {
  readonly #folder: string;
  readonly #dist: string;
  readonly #tunnel: Tunnel;
  readonly #words = new Map<string, string | Uint8Array>();
  readonly #nodes: NodesClient;
  readonly head: HeadProcess;
  readonly guests: Guests;
  #agent: LinkAgent | undefined;
  #fence: Fence | undefined;
  #batches = 0;

  private constructor(made: { folder: string; dist: string; head: HeadProcess; guests: Guests; tunnel: Tunnel }) {
    this.#folder = made.folder;
    this.#dist = made.dist;
    this.#tunnel = made.tunnel;
    this.head = made.head;
    this.guests = made.guests;
    this.#nodes = openClient(NodesClient, ownSocket(made.folder), 'control');
  }

  static async open(dist: string): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'fuzz-wire-'));
    await initHead({ dataFolder: folder, archiveFolder: undefined });
    const head = await HeadProcess.start(dist, folder);
    const network = readAddress(head.address);
    if (network.kind !== 'tcp') throw new Error('the head listens on the loopback');
    const tunnel = await openTunnel(network.port);
    const guests = await Guests.open(ownSocket(folder), network, tunnel);
    const world = new World({ folder, dist, head, guests, tunnel });
    await world.#furnish();
    await world.refresh();
    return world;
  }

  /** What refs in requests stand for here. */
  readonly refs: Refs = (name) => {
    const word = this.#words.get(name);
    if (word === undefined && name !== 'freshId') throw new Error(`Nothing here is called "${name}"`);
    return word ?? newBatchId();
  };

  /** Milliseconds that the head takes to list its nodes. Rejects when it does not answer. */
  async answerMs(): Promise<number> {
    const beganMs = performance.now();
    const { metadata } = this.guests.line('admin');
    await call(this.#nodes, this.#nodes.list, {}, { metadata, deadlineMs: answerMs });
    return performance.now() - beganMs;
  }

  /** Sets right what requests have changed: who was thrown out joins again, and some job always runs. */
  async refresh(): Promise<void> {
    await this.guests.refresh();
    this.#words.set('nodeId', this.guests.joined('node').nodeId);
    await this.#freshTokens();
    if (this.#agent && !this.#agent.ended && (await this.#runs())) return;
    this.#agent?.close();
    const { endpoint, nodeId } = this.guests.joined('node');
    this.#agent = await new LinkAgent(endpoint, 'n1', cpus, nodeId, this.#fence ? [this.#fence] : []).connected();
    if (!this.#fence || !(await this.#runs())) await this.#runAnother();
  }

  /** Stops the head and looks at what it has stored, then starts it on that once more. Answers with what is wrong. */
  async close(): Promise<string[]> {
    const wrong: string[] = [];
    this.#release();
    const code = await this.head.stop();
    if (code !== 0) wrong.push(`the head was told to stop and ended with ${code}`);
    const store = await openStore(this.#folder, { acceptLoss: false });
    wrong.push(...violations(store.draft).map((said) => `what is stored is wrong: ${said}`));
    await store.abandon();
    const again = await HeadProcess.start(this.#dist, this.#folder);
    if ((await again.stop()) !== 0) wrong.push('the head did not stop in order after its restart');
    wrong.push(...again.takeErrors().map((line) => `after its restart the head said: ${line}`));
    await rm(this.#folder, { recursive: true, force: true });
    return wrong;
  }

  /** Leaves a world whose head is lost. */
  async abandon(): Promise<void> {
    this.#release();
    this.head.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #release(): void {
    this.#agent?.close();
    this.#nodes.close();
    this.guests.close();
    this.#tunnel.close();
  }

  async #furnish(): Promise<void> {
    const { nodeId, endpoint } = this.guests.joined('node');
    this.#agent = await new LinkAgent(endpoint, 'n1', cpus, nodeId).connected();
    const blob = Buffer.from('content of a blob\n');
    const files = archiveOf({ 'out.txt': 'result\n' }, 'said\n');
    const extra = writeSpec(aSpec({ namespace: 'ada', name: 'extra', groups: [aGroup({ name: 'j' })] }));
    const { requestPem } = await makeKeyRequest();
    for (const [name, word] of Object.entries({ blob, manifest: files.manifest, spec: extra, requestPem })) {
      this.#words.set(name, word);
    }
    await putAs(this.guests.joined('ada').endpoint, 'ada', blob);
    await putAs(this.guests.joined('ada').endpoint, 'ada', Buffer.from('{"version":1}'));
    await putAs(this.guests.joined('ada').endpoint, 'ada', extra);
    this.#words.set('blobHash', hashBytes(blob));
    this.#words.set('badSpecHash', hashBytes('{"version":1}'));
    this.#words.set('extraHash', hashBytes(extra));
    this.#words.set('emptyHash', hashBytes(''));
    this.#words.set('freshHash', hashBytes('nowhere'));
    this.#words.set('manifestHash', hashBytes(files.manifest));
    const done = await this.#submit('ada', 'done');
    for (let index = 0; index < 3; index++) {
      const { fence } = await this.#agent.hear(
        'assign',
        (value) => value.batch === 'done' && value.fence?.index === index,
      );
      this.#words.set('clusterId', fence?.clusterId ?? '');
      await this.#agent.report(fence, AttemptPhase.RUNNING);
      await this.#agent.endInline(fence, { 'out.txt': 'result\n', 'sub/a': 'x' }, 'said\n', { failed: index === 2 });
    }
    this.#words.set('doneId', done);
    await this.#submit('eve', 'secret');
  }

  async #freshTokens(): Promise<void> {
    for (const [prefix, wanted] of [
      ['token', { userName: 'spare', uses: 5 }],
      ['nodeToken', { node: true, uses: 5 }],
    ] as const) {
      const token = readToken(await this.guests.token(wanted));
      this.#words.set(`${prefix}Id`, token?.id ?? '');
      this.#words.set(`${prefix}Secret`, token?.secret ?? '');
    }
  }

  /** Whether the first job of the batch that is to run does. */
  async #runs(): Promise<boolean> {
    if (!this.#fence) return false;
    const client = openClient(BatchesClient, this.guests.joined('ada').endpoint, 'control');
    try {
      const selector = aSelector({ namespace: 'ada', batch: this.#fence.batchId });
      for await (const { jobs } of readStream(client.jobs({ selector }))) {
        return jobs[0] !== undefined && !ended.includes(jobs[0].state) && jobs[0].attempt === this.#fence.attempt;
      }
      return false;
    } finally {
      client.close();
    }
  }

  async #runAnother(): Promise<void> {
    const name = `busy-${++this.#batches}`;
    const batchId = await this.#submit('ada', name);
    const agent = this.#agent;
    const { fence } = (await agent?.hear('assign', ({ batch, fence: of }) => batch === name && of?.index === 0)) ?? {};
    await agent?.report(fence, AttemptPhase.RUNNING);
    this.#fence = fence;
    this.#words.set('batch', name);
    this.#words.set('batchId', batchId);
  }

  async #submit(namespace: 'ada' | 'eve', name: string): Promise<string> {
    const groups = [aGroup({ name: 'j_i-{{i}}', matrix: aMatrix({ i: ['1', '2', '3'] }) })];
    const { endpoint } = this.guests.joined(namespace);
    const { batchId, specHash } = await submitAs(endpoint, aSpec({ namespace, name, groups }));
    this.#words.set('specHash', specHash);
    return batchId;
  }
}

function ownSocket(folder: string) {
  const address = readAddress(`unix:${join(folder, 'head.sock')}`);
  if (address.kind === 'refused') throw new Error(address.message);
  return address;
}
