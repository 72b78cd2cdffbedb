import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { formatAddress } from '../../base/channel/address.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { writeSpec } from '../../config/spec-file.ts';
import { newBatchId } from '../kit/head-world.ts';
import { LinkAgent } from '../kit/link-agent.ts';
import { Running } from '../kit/processes.ts';
import { itWith } from '../kit/real-parts.ts';
import { aGroup, aSpec } from '../kit/spec.ts';
import { TlsHead } from '../kit/tls-head.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const python = '/usr/bin/python3';
const files = ['common', 'blobs', 'batches', 'events', 'archive'].map((name) => `labrun/v1/${name}.proto`);

let folder = '';
let head: TlsHead;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'labrun-python-'));
  head = await TlsHead.open(join(folder, 'head'));
});
afterAll(async () => {
  await head.close();
  rmSync(folder, { recursive: true });
});

describe('a client of another maker', () => {
  itWith('grpcio')('submits with a certificate, follows the events and reads the archive', async () => {
    const generated = join(folder, 'generated');
    mkdirSync(generated);
    const proto = join(root, 'proto');
    const plugin = '--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin';
    const options = [plugin, `-I${proto}`, `--python_out=${generated}`, `--grpc_python_out=${generated}`];
    const made = spawnSync('protoc', [...options, ...files], { cwd: proto, encoding: 'utf8' });
    expect(made.status, made.stderr).toBe(0);

    const { endpoint } = await head.user('grace');
    const node = await head.node('n1');
    const agent = await new LinkAgent(node.endpoint, 'n1', 1, node.nodeId).connected();
    const spec = writeSpec(aSpec({ namespace: 'grace', name: 'flow', groups: [aGroup({ name: 'j' })] }));
    const write = (name: string, data: string | Uint8Array) => {
      writeFileSync(join(folder, name), data);
      return join(folder, name);
    };
    const told = {
      address: formatAddress(head.head.address),
      authority: write('authority.pem', endpoint.credentials?.authorityPem ?? ''),
      certificate: write('certificate.pem', endpoint.credentials?.own?.certificatePem ?? ''),
      key: write('key.pem', endpoint.credentials?.own?.keyPem ?? ''),
      batchId: newBatchId(),
      namespace: 'grace',
      name: 'flow',
      spec: write('spec.json', spec),
      specHash: hashBytes(spec),
    };
    const client = join(root, 'test/fixtures/python-client/client.py');
    const running = new Running([python, client, generated, write('told.json', JSON.stringify(told))], {});
    const { fence } = await agent.hear('assign');
    await agent.endInline(fence, { 'answer.txt': 'forty-two' }, 'thinking\n');
    const line = await running.line(/^\{/, 20_000);
    expect(JSON.parse(line)).toMatchObject({
      newJobs: 1,
      kinds: expect.arrayContaining(['batch-submitted', 'job-assigned', 'job-finished', 'batch-ended']),
      files: { 'j/answer.txt': 'forty-two', 'j/.labrun/log': 'thinking\n' },
    });
    agent.close();
  });
});
