import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readAddress } from '../../base/channel/address.ts';
import { call, openClient } from '../../base/channel/client.ts';
import type { Endpoint } from '../../base/channel/credentials.ts';
import { clientCredentials, readCredentials } from '../../base/pki/credential-file.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { AccessClient } from '../../proto/gen/labrun/v1/access.ts';
import { BatchesClient, SubmitMode } from '../../proto/gen/labrun/v1/batches.ts';
import { BlobsClient } from '../../proto/gen/labrun/v1/blobs.ts';
import { aSelector } from '../kit/head-world.ts';
import { capture, Running } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { until } from '../kit/until.ts';

// A head on the network, while many without a certificate and one with one do their worst.
const folder = mkdtempSync(join(tmpdir(), 'flood-'));
const { LABRUN_HEAD: _, NODE_EXTRA_CA_CERTS: __, ...inherited } = process.env;
const env = { ...inherited, HOME: folder };
const data = join(folder, 'head');
const running: Running[] = [];
const closing: (() => void)[] = [];
let address = '';

function start(...args: string[]): Running {
  const started = new Running([process.execPath, program, ...args], { env, logFile: join(folder, `${args[0]}.log`) });
  running.push(started);
  return started;
}

async function labrun(...args: string[]): Promise<string> {
  const said = await capture([process.execPath, program, ...args], { env, cwd: folder, timeoutMs: 60_000 });
  expect(said.code, said.stderr).toBe(0);
  return said.stdout.trim();
}

beforeAll(async () => {
  await labrun('head', 'init', '--data', data);
  const listening = await start('head', 'start', '--data', data, '--grpc', '127.0.0.1:0').line(/listening on/);
  address = /127\.0\.0\.1:\d+/.exec(listening)?.[0] ?? '';
  const forNode = await labrun('token', 'create', '--data', data, '--node');
  await labrun('agent', 'join', address, '--token', forNode, '--data', join(folder, 'agent'), '--name', 'n1');
  await start('agent', 'start', '--data', join(folder, 'agent'), '--dedicated').line(/connected to/);
  await labrun('login', address, '--token', await labrun('token', 'create', '--data', data, '--user', 'ada'));
}, 30_000);
afterAll(async () => {
  for (const close of closing) close();
  for (const one of running.reverse()) await one.stop();
  rmSync(folder, { recursive: true });
});

async function endpoint(): Promise<Endpoint> {
  const login = await readCredentials(join(folder, '.config/labrun/credentials.json'));
  const where = readAddress(address);
  if (!login || where.kind === 'refused') throw new Error('ada has logged in');
  return { ...where, credentials: clientCredentials(login) };
}

/** Connections that say nothing: half of them never begin TLS. */
async function sitIdle(count: number): Promise<void> {
  const [host = '', port = ''] = address.split(':');
  const opened = Array.from({ length: count }, (_one, at) => {
    const where = { host, port: Number(port) };
    const tls = { ...where, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
    return new Promise<void>((resolve) => {
      const socket: Socket = at % 2 === 0 ? connect(where, resolve) : connectTls(tls, resolve);
      socket.on('error', () => {}); // the head may cut it; that is its right
      socket.once('close', () => resolve());
      closing.push(() => socket.destroy());
    });
  });
  await Promise.all(opened);
}

/** Uploads that have begun and send a byte now and then. */
function uploadSlowly(to: Endpoint, count: number): void {
  const client = openClient(BlobsClient, to, 'bulk');
  const streams = Array.from({ length: count }, (_one, at) => {
    const stream = client.put(() => {}); // it never ends by itself
    stream.on('error', () => {});
    const hash = hashBytes(`slow ${at}`);
    stream.write({ namespace: 'ada', hash, size: 1_000_000n, offset: 0n, data: Buffer.from('a') });
    return { stream, hash };
  });
  let offset = 1n;
  const timer = setInterval(() => {
    for (const { stream, hash } of streams) {
      stream.write({ namespace: 'ada', hash, size: 1_000_000n, offset, data: Buffer.from('a') });
    }
    offset += 1n;
  }, 200);
  closing.push(() => {
    clearInterval(timer);
    for (const { stream } of streams) stream.cancel();
    client.close();
  });
}

/** Requests of which none is right, fifty at a time; answers how many were refused. */
async function askNonsense(to: Endpoint, count: number): Promise<number> {
  const batches = openClient(BatchesClient, to, 'control');
  const access = openClient(AccessClient, to, 'control');
  closing.push(() => {
    batches.close();
    access.close();
  });
  const nonsense = [
    () => call(batches, batches.get, { selector: aSelector({ batch: '../../etc' }) }),
    () => call(batches, batches.cancel, { selector: aSelector({ namespace: 'x/y', batch: '\0' }) }),
    () => call(batches, batches.retry, { selector: aSelector({ batch: 'no-such-batch' }) }),
    () =>
      call(batches, batches.submit, {
        batchId: 'none',
        namespace: '..',
        name: '',
        specHash: 'x'.repeat(10_000),
        mode: SubmitMode.NEW,
        sourceHash: '',
        dryRun: false,
      }),
    () =>
      call(access, access.createToken, { node: true, userName: 'x', admin: true, expiresMs: 0n, uses: 0, owner: '' }),
    () =>
      call(access, access.enrol, {
        tokenId: 'guess',
        secret: 'guess',
        requestPem: '-----',
        nodeId: '',
        nodeName: '',
        owner: '',
      }),
  ];
  let refused = 0;
  let next = 0;
  const ask = async () => {
    while (next < count) {
      const make = nonsense[next++ % nonsense.length];
      await make?.().catch(() => {
        refused += 1;
      });
    }
  };
  await Promise.all(Array.from({ length: 50 }, ask));
  return refused;
}

it('finishes a batch and answers soon under idle connections, slow uploads and a flood of nonsense', async () => {
  const to = await endpoint();
  const job = { name: 'j', matrix: { i: Array.from({ length: 20 }, (_one, at) => String(at)) } };
  const spec = {
    name: 'calm',
    jobs: [{ ...job, needs: { cpus: 1 }, run: 'sleep 0.3; echo {{i}} > $LABRUN_ARCHIVE/out' }],
  };
  writeFileSync(join(folder, 'labrun.yaml'), JSON.stringify(spec));
  await sitIdle(500);
  uploadSlowly(to, 200);
  await labrun('submit', join(folder, 'labrun.yaml'));
  const flood = askNonsense(to, 10_000);
  let flooding = true;
  void flood.finally(() => {
    flooding = false;
  });
  const asked = openClient(BatchesClient, to, 'control');
  closing.push(() => asked.close());
  const answersMs: number[] = [];
  let state = '';
  await until(
    'the batch has ended',
    async () => {
      const beganMs = performance.now();
      ({ state } = await call(asked, asked.get, { selector: aSelector({ batch: 'calm' }) }));
      answersMs.push(performance.now() - beganMs);
      return state !== 'running' && state !== 'queued' && !flooding;
    },
    100_000,
  );
  expect(state).toBe('succeeded');
  expect(await flood).toBe(10_000);
  // One in twenty may have met the machine's own pauses.
  const slow = answersMs.filter((ms) => ms >= 3_000);
  expect(slow.length, `${answersMs.length} answers, of which slow: ${slow}`).toBeLessThanOrEqual(answersMs.length / 20);
  expect(JSON.parse(await labrun('status', 'calm', '--json'))).toMatchObject({ counts: { succeeded: 20 } });
}, 120_000);
