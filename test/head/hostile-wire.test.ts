import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, credentials, type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatAddress } from '../../base/channel/address.ts';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call, openClient } from '../../base/channel/client.ts';
import { readStream } from '../../base/channel/streams.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { writeSpec } from '../../config/spec-file.ts';
import { AccessClient } from '../../proto/gen/labrun/v1/access.ts';
import {
  AgentLinkClient,
  type AgentMessage,
  AttemptPhase,
  BuildState,
  type Hello,
} from '../../proto/gen/labrun/v1/agent_link.ts';
import { SubmitMode } from '../../proto/gen/labrun/v1/batches.ts';
import type { PutBlobChunk } from '../../proto/gen/labrun/v1/blobs.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import { NodesClient } from '../../proto/gen/labrun/v1/nodes.ts';
import { aSelector, HeadWorld, newBatchId } from '../kit/head-world.ts';
import { LinkAgent } from '../kit/link-agent.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { aSpec } from '../kit/spec.ts';

const largest = 2n ** 64n - 1n;
const metadata = callerMetadata({ kind: 'user', name: 'lab' });
let world: HeadWorld;
let agent: LinkAgent;
let fence: Fence;

beforeEach(async () => {
  world = await HeadWorld.open(scratchFolder());
  agent = await new LinkAgent(world.head.address, 'n1').connected();
  await world.submit(aSpec());
  fence = (await agent.hear('assign')).fence as Fence; // the head always names one
});
afterEach(async () => {
  agent.close();
  await world.close();
});

/** How a call with these very bytes ends. */
function raw(path: string, bytes: Buffer, as: Metadata = metadata): Promise<ServiceError | null> {
  // Not labrun's own, which keeps to the limits itself.
  const options = { 'grpc.default_authority': 'localhost' };
  const client = new Client(formatAddress(world.head.address), credentials.createInsecure(), options);
  const same = (buffer: Buffer) => buffer;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, same, same, bytes, as, (error) => {
      client.close();
      resolve(error);
    });
  });
}

/** Says hello as another agent, changed so, and then the rest; resolves with how the head ended it, if it did. */
async function greet(over: Partial<Hello>, ...more: AgentMessage['message'][]): Promise<string> {
  const nodeId = '01J00000000000000000000000';
  const client = openClient(AgentLinkClient, world.head.address, 'control');
  const stream = client.link(callerMetadata({ kind: 'node', name: nodeId }));
  try {
    return await new Promise((resolve) => {
      stream.on('error', (error) => resolve(error.message));
      stream.on('end', () => resolve('ended'));
      stream.on('data', ({ message }) => {
        if (message?.$case === 'acknowledged' || more.length === 0) resolve('taken');
      });
      stream.write({ message: { $case: 'hello', value: { ...someHello(nodeId), ...over } } });
      for (const message of more) stream.write({ message });
    });
  } finally {
    stream.cancel();
    client.close();
  }
}

function someHello(nodeId: string): Hello {
  const facts = { os: 'linux', architecture: 'x64', tracking: 'session', dedicated: true, jobsAccount: 'tester' };
  const inventory = { ...facts, capabilities: [], total: someTotal, agentIsRoot: false, freezing: 'stop' };
  return {
    ...{
      protocolMin: 1,
      protocolMax: 1,
      features: [],
      version: '1',
      clusterId: '',
      nodeId,
      nodeName: 'n2',
      bootId: 'b',
    },
    ...{ inventory, attempts: [], builds: [] },
  };
}
const someTotal = { cpus: 2, memoryBytes: 1n, diskBytes: 1n, gpus: 0 };

describe('a message that is none', () => {
  it('is refused with a sentence, by calls of each kind', async () => {
    const cutOff = Buffer.from([0x0a, 0xff, 0x01, 0x61]);
    for (const method of ['Batches/Get', 'Batches/Jobs', 'Blobs/Put', 'Archive/Read', 'Access/Enrol']) {
      const error = await raw(`/labrun.v1.${method}`, cutOff);
      expect(error, method).toMatchObject({ code: status.INVALID_ARGUMENT });
      expect(error?.details).toMatch(/^Cannot read the message: .+; use a labrun of the head's own version$/);
    }
    const put = await raw('/labrun.v1.Archive/Put', cutOff, callerMetadata({ kind: 'node', name: agent.nodeId }));
    expect(put).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(world.complaints).toEqual([]);
  });

  it('is refused when it is larger than messages are, and the next one is taken', async () => {
    const error = await raw('/labrun.v1.Batches/Get', Buffer.alloc(9 * 2 ** 20));
    expect(error).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('Received message larger'),
    });
    expect(await raw('/labrun.v1.Nodes/List', Buffer.alloc(0))).toBeNull();
  });
});

describe('numbers no file, log or clock reaches', () => {
  it('are refused as offsets, and mean the end as places in the log', async () => {
    const { batchId } = await world.get('batch');
    const read = world.files.read(metadata);
    const reading = (async () => {
      for await (const _ of readStream(read));
    })();
    read.write({ batchId, files: [{ job: 'job', path: 'x', offset: largest }] });
    read.end();
    await expect(reading).rejects.toThrow(`Cannot read "x" from ${largest}: no file is that long`);
    const since = { since: largest, follow: false, selector: aSelector() };
    for await (const page of readStream(world.events.subscribe(since, metadata))) expect(page).toBe('nothing');
    const access = openClient(AccessClient, world.head.address, 'control');
    for await (const page of readStream(access.audit({ since: largest }, metadata))) expect(page).toBe('nothing');
    access.close();
    expect(world.complaints).toEqual([]);
  });

  it('change nothing in reports of a job: it has a start and an end that can be told', async () => {
    await agent.report(fence, AttemptPhase.RUNNING, { startedMsAgo: largest, endedMsAgo: largest });
    const outcome = { state: 'succeeded', reason: '', message: '', exitCode: 0, signal: undefined, ranMs: largest };
    await agent.endInline(fence, {}, 'log');
    agent.close();
    await world.submit(aSpec({ name: 'second' }));
    agent = await new LinkAgent(world.head.address, 'n1', 2, agent.nodeId).connected();
    const again = (await agent.hear('assign', ({ batch }) => batch === 'second')).fence;
    const { manifestHash = '' } = await agent.stage(again, {}, 'log');
    await agent.report(again, AttemptPhase.ENDED, {
      outcome,
      manifestHash,
      startedMsAgo: largest,
      endedMsAgo: largest,
    });
    for (const name of ['batch', 'second']) expect(await world.ended(name)).toMatchObject({ state: 'succeeded' });
    for await (const { jobs } of readStream(world.batches.jobs({ selector: aSelector({ batch: 'second' }) }, metadata)))
      expect(jobs[0]?.finishedAtMs).toBeGreaterThan(0n);
    await world.restart();
    expect(await world.get('second')).toMatchObject({ state: 'succeeded' });
  });

  it('are refused as what a machine has, and the list of nodes goes on', async () => {
    const inventory = (total: Partial<typeof someTotal>) => ({
      inventory: { ...someHello('').inventory, ...some, total: { ...someTotal, ...total } },
    });
    const some = {
      capabilities: [],
      os: '',
      architecture: '',
      tracking: '',
      dedicated: true,
      jobsAccount: '',
      agentIsRoot: false,
      freezing: '',
    };
    expect(await greet(inventory({ memoryBytes: largest }))).toContain('no machine has 2 cpus');
    expect(await greet(inventory({ cpus: 4_000_000_000 }))).toContain('no machine has 4000000000 cpus');
    expect(await greet(inventory({}))).toBe('taken');
    const nodes = openClient(NodesClient, world.head.address, 'control');
    const { nodes: seen } = await call(nodes, nodes.list, {}, { metadata });
    nodes.close();
    expect(seen.map(({ name }) => name)).toContain('n1');
  });
});

describe('what an agent tells of itself', () => {
  it('is limited in number and length', async () => {
    const features = Array.from({ length: 2_000 }, (_, at) => `f${at}`);
    expect(await greet({ features })).toContain('over 1000 features');
    expect(await greet({ bootId: 'b'.repeat(1_000_000) })).toContain('far too long');
    const many = Array.from({ length: 10_001 }, (_, at) => `d${at}`);
    const builds = many.map((buildDigest) => ({ buildDigest, state: BuildState.READY, message: '', batchId: '' }));
    expect(await greet({ builds })).toContain('over 10000 builds');
    const changes = builds.map((value) => ({ change: { $case: 'build' as const, value } }));
    expect(await greet({}, { $case: 'delta', value: { seq: 1n, changes } })).toBe('taken');
    const told = (await world.story()).filter(({ kind }) => kind === 'build-ready');
    expect(told).toHaveLength(10_000);
  });
});

describe('what a refusal repeats', () => {
  it('is cut, so that it reaches the caller, whatever was sent', async () => {
    const selector = aSelector({ batch: 'batch', job: 'é'.repeat(1_000_000) });
    const asking = call(world.batches, world.batches.get, { selector }, { metadata });
    await expect(asking).rejects.toThrow(/^Cannot select the jobs "é{100,}… \(cut off\)$/);
    const spec = aSpec({ name: 'sourced' });
    await world.submit(spec);
    const request = {
      batchId: newBatchId(),
      namespace: 'lab',
      name: 'sourced',
      mode: SubmitMode.REPLACE,
      dryRun: false,
    };
    const ids = { specHash: hashBytes(writeSpec(spec)), sourceHash: 'x'.repeat(1_000_000) };
    const submitting = call(world.batches, world.batches.submit, { ...request, ...ids }, { metadata });
    await expect(submitting).rejects.toThrow('its batch id, spec hash or source hash is none');
  });
});

describe('names that become paths', () => {
  it('cannot lead out of the batch by the name of a build’s node', async () => {
    const folder = join(world.archive, 'eve', 'secret', '.labrun');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'build-n1.log'), 'secret');
    for (const buildNode of ['x/../../../../eve/secret/.labrun/build-n1', '\0', 'x/y']) {
      const request = { selector: aSelector({ batch: 'batch' }), follow: false, buildNode, offset: 0n, attempt: 0 };
      const reading = (async () => {
        for await (const chunk of readStream(world.files.log(request, metadata))) expect(chunk).toBe('nothing');
      })();
      await expect(reading).rejects.toThrow(/^Cannot show the log of a build on ".*": the name (holds|must)/s);
    }
  });

  it('are refused before the disk is asked when a part is longer than disks take', async () => {
    const path = `archive/${'n'.repeat(300)}`;
    const [answer] = await agent.send([{ target: { $case: 'attempt', value: fence }, path, data: Buffer.from('x') }]);
    expect(answer).toMatchObject({ refusedCode: 'invalid', refusedMessage: expect.stringContaining('over 255 bytes') });
    expect(world.complaints).toEqual([]);
  });
});

describe('uploads of inputs', () => {
  const put = (...chunks: Partial<PutBlobChunk>[]) =>
    new Promise((resolve, reject) => {
      const stream = world.blobs.put(metadata, (error, response) => (error ? reject(error) : resolve(response.stored)));
      for (const chunk of chunks) {
        stream.write({ namespace: '', hash: '', size: 0n, offset: 0n, data: Buffer.alloc(0), ...chunk });
      }
      stream.end();
    });

  it('are refused that send nothing, another content, more than they said, or from where nothing is', async () => {
    const data = Buffer.from('content');
    const named = { namespace: 'lab', hash: hashBytes(data), size: 7n, data };
    await expect(put()).rejects.toThrow('nothing was sent');
    await expect(put({ data })).rejects.toThrow('does not name it');
    await expect(put({ ...named, hash: hashBytes('other') })).rejects.toThrow('has another hash');
    await expect(put({ ...named, size: 3n })).rejects.toThrow('more than its 3 bytes');
    await expect(put({ ...named, size: 2n ** 60n })).rejects.toThrow('Cannot take');
    await expect(put({ ...named, size: 2n ** 30n, offset: 2n ** 29n })).rejects.toThrow('less of it is here');
    await expect(put({ ...named, offset: largest, size: largest })).rejects.toThrow('Cannot take');
    expect(await put(named)).toEqual([named.hash]);
    expect(world.complaints).toEqual([]);
  });
});
