import { mkdtempSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readAddress } from '../../base/channel/address.ts';
import { call, openClient } from '../../base/channel/client.ts';
import { readStream } from '../../base/channel/streams.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { type ManifestEntry, manifestEntriesMax, manifestLine } from '../../base/transfer/manifest.ts';
import { initHead } from '../../head/main.ts';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import { ArchiveClient } from '../../proto/gen/labrun/v1/archive.ts';
import { BatchesClient } from '../../proto/gen/labrun/v1/batches.ts';
import { BlobsClient } from '../../proto/gen/labrun/v1/blobs.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import { NodesClient } from '../../proto/gen/labrun/v1/nodes.ts';
import { Guests } from '../fuzz/wire/guests.ts';
import { openTunnel } from '../fuzz/wire/tunnel.ts';
import { HeadProcess } from '../kit/head-process.ts';
import { aSelector } from '../kit/head-world.ts';
import { endOf, LinkAgent } from '../kit/link-agent.ts';
import { program } from '../kit/program.ts';
import { aSpec } from '../kit/spec.ts';
import { submitAs } from '../kit/submit-as.ts';

// A head of its own process behind TLS, those who do their worst, and an honest batch at the same time.
const memoryMaxBytes = 300 * 2 ** 20;
const folder = mkdtempSync(join(tmpdir(), 'hostile-'));
const closing: (() => void)[] = [];
let head: HeadProcess;
let guests: Guests;
let agent: LinkAgent;
let host: { host: string; port: number };

beforeAll(async () => {
  await initHead({ dataFolder: folder, archiveFolder: undefined });
  head = await HeadProcess.start(dirname(program), folder);
  const network = readAddress(head.address);
  const own = readAddress(`unix:${join(folder, 'head.sock')}`);
  if (network.kind !== 'tcp' || own.kind === 'refused') throw new Error('these are addresses');
  host = { host: network.host, port: network.port };
  const tunnel = await openTunnel(network.port);
  guests = await Guests.open(own, network, tunnel);
  const { endpoint, nodeId } = guests.joined('node');
  agent = await new LinkAgent(endpoint, 'n1', 64, nodeId).connected();
  closing.push(
    () => tunnel.close(),
    () => guests.close(),
    () => agent.close(),
  );
}, 30_000);
afterAll(async () => {
  for (const close of closing.reverse()) close();
  await head.stop();
  rmSync(folder, { recursive: true });
});

async function started(name: string): Promise<Fence> {
  await submitAs(guests.joined('ada').endpoint, aSpec({ namespace: 'ada', name }));
  const { fence } = await agent.hear('assign', ({ batch }) => batch === name);
  await agent.report(fence, AttemptPhase.RUNNING);
  return fence as Fence; // the head always names one
}

async function stateOf(batch: string): Promise<string> {
  const client = openClient(BatchesClient, guests.joined('ada').endpoint, 'control');
  try {
    for await (const { state, endedAtMs } of readStream(
      client.watch({ selector: aSelector({ namespace: 'ada', batch }) }),
    ))
      if (endedAtMs !== undefined) return state;
    return '';
  } finally {
    client.close();
  }
}

/** An honest batch runs to its end, and a question is answered soon. */
async function expectServing(name: string): Promise<void> {
  await agent.endInline(await started(name), { 'out.txt': 'result' }, 'said');
  expect(await stateOf(name)).toBe('succeeded');
  const nodes = openClient(NodesClient, guests.joined('ada').endpoint, 'control');
  const beganMs = performance.now();
  await call(nodes, nodes.list, {}, { deadlineMs: 5_000 });
  nodes.close();
  expect(performance.now() - beganMs).toBeLessThan(4_000);
  expect(head.peakBytes()).toBeLessThan(memoryMaxBytes);
}

/** Stages a manifest and a file of ten bytes, ends the attempt with it, and answers which files are asked for again. */
async function endWith(fence: Fence, manifest: Buffer): Promise<readonly string[]> {
  const target = { $case: 'attempt' as const, value: fence };
  const data = Buffer.from('0123456789');
  const file = { target, path: 'archive/f', data, truncate: true, finalHash: hashBytes(data) };
  const pieces = [];
  for (let at = 0; at < manifest.length; at += 2 ** 20) {
    const finalHash = at + 2 ** 20 >= manifest.length ? hashBytes(manifest) : '';
    const offset = BigInt(at);
    pieces.push({
      target,
      path: 'manifest',
      offset,
      data: manifest.subarray(at, at + 2 ** 20),
      truncate: at === 0,
      finalHash,
    });
  }
  const answers = await agent.send([file, ...pieces]);
  expect(answers.at(-1)).toMatchObject({ verified: true });
  await agent.report(fence, AttemptPhase.ENDED, endOf(manifest, false));
  return (await agent.hear('resend', (resend) => resend.fence?.batchId === fence.batchId)).paths;
}

describe('manifests that lie', () => {
  const claimed = (sizeBytes: number): ManifestEntry => {
    return { kind: 'file', path: 'f', mode: 0o644, sizeBytes, hash: hashBytes('0123456789') };
  };
  const text = (...entries: readonly ManifestEntry[]) => Buffer.from(entries.map(manifestLine).join(''));

  it('are refused, leave nothing behind, and the job ends with a true one', async () => {
    const fence = await started('lies');
    expect(await endWith(fence, text(claimed(Number.MAX_SAFE_INTEGER)))).toEqual(['archive/f']);
    expect(await endWith(fence, text(claimed(2 ** 40)))).toEqual(['archive/f']);
    expect(await endWith(fence, text(claimed(10), claimed(10)))).toEqual([]);
    const many = Array.from({ length: 1_000_000 }, (_, at) => `{"path":"d${at}","kind":"folder","mode":493}\n`);
    expect(many.length).toBeGreaterThan(manifestEntriesMax);
    expect(await endWith(fence, Buffer.from(many.join('')))).toEqual([]);
    const [staged = ''] = await readdir(join(folder, 'archive/.staging')).then((all) =>
      all.filter((id) => id.startsWith(fence.batchId)),
    );
    expect(await readdir(join(folder, 'archive/.staging', staged))).toEqual(expect.not.arrayContaining(['d0']));
    expect((await readdir(join(folder, 'archive/.staging', staged, 'archive'))).length).toBe(1);
    expect(head.peakBytes()).toBeLessThan(memoryMaxBytes);
    await agent.endInline(fence, { f: '0123456789' }, 'said');
    expect(await stateOf('lies')).toBe('succeeded');
  }, 60_000);
});

describe('streams', () => {
  it('that send a byte and fall silent, or are never read, hold up nobody', async () => {
    const blobs = openClient(BlobsClient, guests.joined('eve').endpoint, 'bulk');
    const slow = blobs.put(() => {}); // it never ends by itself
    slow.on('error', () => {});
    const hash = hashBytes('slow');
    slow.write({ namespace: 'eve', hash, size: 1_000_000n, offset: 0n, data: Buffer.from('a') });
    const archive = openClient(ArchiveClient, guests.joined('other-node').endpoint, 'bulk');
    const endless = archive.put();
    endless.on('error', () => {});
    let sent = 0;
    const chunk = {
      target: undefined,
      path: 'p'.repeat(1_000),
      offset: 0n,
      data: Buffer.alloc(60_000),
      truncate: false,
      finalHash: '',
    };
    const push = () => {
      while (sent < 10_000 && endless.write(chunk)) sent += 1;
    };
    endless.on('drain', push);
    push();
    closing.push(
      () => slow.cancel(),
      () => endless.cancel(),
      () => blobs.close(),
      () => archive.close(),
    );
    await expectServing('beside-streams');
    // The head stopped reading long before: nobody takes its answers.
    expect(sent).toBeLessThan(10_000);
  }, 30_000);

  it('that send more than they said are cut', async () => {
    const blobs = openClient(BlobsClient, guests.joined('ada').endpoint, 'bulk');
    const put = (data: Buffer, times: number) =>
      new Promise((_, reject) => {
        const stream = blobs.put((error) => reject(error));
        const named = { namespace: 'ada', hash: hashBytes('x'), size: 1_000_000n };
        for (let at = 0; at < times; at++) stream.write({ ...named, offset: BigInt(at * data.length), data });
      });
    await expect(put(Buffer.alloc(400_000), 3)).rejects.toThrow('has more than its 1000000 bytes');
    blobs.close();
    await expectServing('after-much');
  });
});

/** HTTP/2 as ada, without gRPC's own manners. */
function http2(): ClientHttp2Session {
  const { credentials } = guests.joined('ada').endpoint;
  const { certificatePem: cert, keyPem: key } = credentials?.own ?? {};
  const session = connectHttp2(`https://${head.address}`, { cert, key, rejectUnauthorized: false });
  session.on('error', () => {});
  closing.push(() => session.destroy());
  return session;
}

const headers = {
  ':method': 'POST',
  ':path': '/labrun.v1.Batches/Get',
  'content-type': 'application/grpc',
  te: 'trailers',
};

function request(session: ClientHttp2Session, more: Record<string, string> = {}): ClientHttp2Stream {
  const stream = session.request({ ...headers, ...more });
  stream.on('error', () => {}); // the head may cut it; that is its right
  return stream;
}

describe('connections', () => {
  it('that flood with calls they drop, headers without a message, or headers without end do no harm', async () => {
    const dropping = http2();
    for (let at = 0; at < 5_000; at++) request(dropping).close();
    const silent = http2();
    for (let at = 0; at < 20_000; at++) request(silent);
    const wordy = http2();
    const refused = new Promise((resolve) => {
      const stream = wordy.request({
        ...headers,
        ...Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`k${at}`, 'v'.repeat(1_000)])),
      });
      stream.on('error', resolve);
      stream.on('response', resolve);
      wordy.on('close', () => resolve('closed'));
    });
    await refused;
    await expectServing('beside-floods');
  }, 30_000);

  it('that stop half-way through TLS, or say nothing after it, are closed by themselves', async () => {
    const closed = [
      // Nothing at all, and the beginning of a ClientHello.
      ...['', '160301020001'].map((said) => {
        const socket = connect(host);
        socket.write(Buffer.from(said, 'hex'));
        return socket;
      }),
      // TLS and no HTTP/2, and HTTP/2's first words and no more.
      ...['', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'].map((said) => {
        const socket = connectTls({ ...host, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
        socket.write(said);
        return socket;
      }),
    ].map((socket) => {
      socket.on('error', () => {});
      socket.resume();
      closing.push(() => socket.destroy());
      return new Promise((resolve) => socket.once('close', resolve));
    });
    await expectServing('beside-half-open');
    await Promise.all(closed);
  }, 60_000);
});
