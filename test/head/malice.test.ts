import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call, openClient } from '../../base/channel/client.ts';
import { readStream } from '../../base/channel/streams.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { writeSpec } from '../../config/spec-file.ts';
import { AccessClient } from '../../proto/gen/labrun/v1/access.ts';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import { ArchiveClient, type FileChunk } from '../../proto/gen/labrun/v1/archive.ts';
import { BatchesClient, SubmitMode } from '../../proto/gen/labrun/v1/batches.ts';
import { BlobsClient } from '../../proto/gen/labrun/v1/blobs.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import { aSelector, newBatchId } from '../kit/head-world.ts';
import { archiveOf, endOf, LinkAgent } from '../kit/link-agent.ts';
import { aGroup, aSpec } from '../kit/spec.ts';
import { type Joined, TlsHead } from '../kit/tls-head.ts';

let folder = '';
let head: TlsHead;
let ada: Joined;
let eve: Joined;
let honest: LinkAgent;
let malicious: LinkAgent;
let malNode: Joined;
/** Of ada's job, which the honest node runs. */
let fence: Fence | undefined;
let specHash = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'labrun-malice-'));
  head = await TlsHead.open(folder);
  [ada, eve] = [await head.user('ada'), await head.user('eve')];
  const node = await head.node('n1');
  honest = await new LinkAgent(node.endpoint, 'n1', 1, node.nodeId).connected();
  specHash = await submit(ada, 'ada', 'secret');
  fence = (await honest.hear('assign')).fence;
  await honest.report(fence, AttemptPhase.RUNNING);
  malNode = await head.node('mal');
  malicious = await new LinkAgent(malNode.endpoint, 'mal', 1, malNode.nodeId).connected();
});
afterEach(async () => {
  honest.close();
  malicious.close();
  await head.close();
  await rm(folder, { recursive: true });
});

async function submit(who: Joined, namespace: string, name: string): Promise<string> {
  const bytes = writeSpec(aSpec({ namespace, name, groups: [aGroup({ name: 'j' })] }));
  const blobs = openClient(BlobsClient, who.endpoint, 'bulk');
  const batches = openClient(BatchesClient, who.endpoint, 'control');
  try {
    await new Promise((resolve, reject) => {
      const stream = blobs.put((error, response) => (error ? reject(error) : resolve(response)));
      const hash = hashBytes(bytes);
      stream.write({ namespace, hash, size: BigInt(bytes.length), offset: 0n, data: Buffer.from(bytes) });
      stream.end();
    });
    const mode = SubmitMode.NEW;
    const ids = { batchId: newBatchId(), namespace, name, specHash: hashBytes(bytes), sourceHash: '' };
    await call(batches, batches.submit, { ...ids, mode, dryRun: false });
    return hashBytes(bytes);
  } finally {
    blobs.close();
    batches.close();
  }
}

/** What ada sees of her job. */
async function adasJob() {
  const client = openClient(BatchesClient, ada.endpoint, 'control');
  try {
    const selector = aSelector({ namespace: 'ada', batch: 'secret' });
    for await (const { jobs } of readStream(client.jobs({ selector }))) return jobs[0];
  } finally {
    client.close();
  }
  return undefined;
}

describe('a malicious agent', () => {
  it('cannot end, return or lose an attempt of another node, whatever number it names', async () => {
    const { manifest } = archiveOf({ 'result.txt': 'forged' }, 'forged');
    for (const attempt of [1, 2, 99]) {
      const forged = fence && { ...fence, attempt };
      for (const phase of [AttemptPhase.LOST, AttemptPhase.RETURNED, AttemptPhase.RUNNING]) {
        await malicious.report(forged, phase, { returnedReason: 'recalled' });
      }
      await malicious.endInline(forged, { 'result.txt': 'forged' }, 'forged');
      await malicious.report(forged, AttemptPhase.ENDED, endOf(manifest, false));
    }
    expect(await adasJob()).toMatchObject({ state: 'running', node: 'n1', attempt: 1 });
    // Nor does it learn whether what it names is staged.
    expect(malicious.heard.map(({ change }) => change?.$case)).not.toContain('resend');
    await honest.endInline(fence, { 'result.txt': 'true' }, 'log');
    expect(await adasJob()).toMatchObject({ state: 'succeeded' });
  });

  it('cannot write into the archive of an attempt that is not its own, nor beside its own', async () => {
    const data = Buffer.from('forged');
    const chunk = { path: 'archive/result.txt', data, truncate: true, finalHash: hashBytes(data) };
    const target = fence && { $case: 'attempt' as const, value: fence };
    const [foreign] = await malicious.send([{ ...chunk, target }]);
    expect(foreign).toMatchObject({ verified: false, refusedCode: 'stale' });
    const paths = ['archive/../../x', '../x', '/etc/x', 'archive/a/../../../x', 'archive/\0', 'manifest/../x', 'other'];
    const answers = await honest.send(paths.map((path) => ({ ...chunk, path, target })));
    for (const [at, answer] of answers.entries()) {
      expect(answer, paths[at]).toMatchObject({ verified: false, refusedCode: expect.stringMatching(/./) });
    }
    const log = { $case: 'build' as const, value: { batchId: fence?.batchId ?? '' } };
    const [build] = await malicious.send([{ ...chunk, path: '', target: log }]);
    expect(build).toMatchObject({ verified: false, refusedCode: 'not-found' });
    expect(existsSync(join(folder, 'x')) || existsSync('/etc/x')).toBe(false);
    expect(await readdir(join(folder, 'archive', 'ada', 'secret'))).not.toContain('x');
  });

  it('cannot read what jobs of other nodes read, nor act as a person', async () => {
    const blobs = openClient(BlobsClient, malNode.endpoint, 'bulk');
    const access = openClient(AccessClient, malNode.endpoint, 'control');
    const batches = openClient(BatchesClient, malNode.endpoint, 'control');
    const forged = callerMetadata({ kind: 'user', name: 'ada' });
    const reading = async () => {
      for await (const _ of readStream(blobs.get({ namespace: 'ada', hash: specHash, offset: 0n })));
    };
    await expect(reading()).rejects.toThrow('not belong to an attempt that is leased to this node');
    await expect(call(access, access.listTokens, {}, { metadata: forged })).rejects.toThrow('only a user may');
    const jobs = { selector: aSelector({ namespace: 'ada', batch: 'secret' }) };
    await expect(call(batches, batches.cancel, jobs, { metadata: forged })).rejects.toThrow(/Cannot change/);
    for (const client of [blobs, access, batches]) client.close();
    expect(await adasJob()).toMatchObject({ state: 'running' });
  });
});

describe('a malicious user', () => {
  it('cannot change, replace or run in the namespace of another, whoever they say they are', async () => {
    await expect(submit(eve, 'ada', 'mine')).rejects.toThrow('belongs to "ada"');
    const batches = openClient(BatchesClient, eve.endpoint, 'control');
    const metadata = callerMetadata({ kind: 'user', name: 'ada' });
    const jobs = { selector: aSelector({ namespace: 'ada', batch: 'secret' }) };
    for (const method of [batches.cancel, batches.hold, batches.release, batches.retry]) {
      await expect(call(batches, method, jobs, { metadata })).rejects.toThrow('belongs to "ada"');
    }
    // By its id, which names a batch of any namespace.
    const byId = { selector: aSelector({ batch: fence?.batchId ?? '' }) };
    await expect(call(batches, batches.cancel, byId)).rejects.toThrow('belongs to "ada"');
    batches.close();
    expect(await adasJob()).toMatchObject({ state: 'running' });
  });

  it('cannot read a closed namespace by any way in, nor anything beside the archive', async () => {
    const access = openClient(AccessClient, ada.endpoint, 'control');
    await call(access, access.setNamespace, { namespace: 'ada', readable: false });
    access.close();
    await honest.endInline(fence, { 'result.txt': 'mine' }, 'log');
    const archive = openClient(ArchiveClient, eve.endpoint, 'bulk');
    const batchId = fence?.batchId ?? '';
    const read = async (id: string, job: string, path: string) => {
      const stream = archive.read();
      const pieces: FileChunk[] = [];
      stream.write({ batchId: id, files: [{ job, path, offset: 0n }] });
      stream.end();
      for await (const piece of readStream(stream)) pieces.push(piece);
      return pieces;
    };
    await expect(read(batchId, 'j', 'result.txt')).rejects.toThrow('it is closed');
    for (const id of ['folder:ada/secret', 'folder:../..', 'folder:eve/../ada', '../ada/secret']) {
      await expect(read(id, 'j', 'result.txt'), id).rejects.toThrow(/Cannot /);
    }
    const selector = aSelector({ batch: batchId });
    const listing = async () => {
      for await (const _ of readStream(archive.list({ selector, include: [], exclude: [] })));
    };
    await expect(listing()).rejects.toThrow('it is closed');
    archive.close();
  });

  it('cannot pass as an agent', async () => {
    const fake = new LinkAgent(eve.endpoint, 'fake', 1);
    await expect(fake.connected()).rejects.toThrow('only an agent that has joined may');
    fake.close();
  });
});
