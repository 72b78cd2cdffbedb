import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { asClusterId, type ClusterId } from '../../base/ids.ts';
import { makeAuthority } from '../../base/pki/authority.ts';
import { readCredentials, writeCredentials } from '../../base/pki/credential-file.ts';
import { systemRandom } from '../../base/random.ts';
import { Network } from '../kit/network.ts';
import { aCredential } from '../kit/pki.ts';
import { capture, Running } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { itWith, realPart } from '../kit/real-parts.ts';

// Three hosts with a wire between them, all with the port of the README.
const folder = mkdtempSync(join(tmpdir(), 'labrun-hosts-'));
const dayMs = 24 * 3_600_000;
let network: Network | undefined;
const running: Running[] = [];

beforeAll(() => {
  if (realPart('netns').available) network = new Network('storage', 'office', 'laptop');
});
afterAll(async () => {
  for (const one of running.reverse()) await one.stop();
  network?.close();
  rmSync(folder, { recursive: true });
});

/** What a shell on a host is started with: a home of its own and `labrun` as a command. */
function shell(host: string, text: string, home = host) {
  const bin = join(folder, home, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'labrun'), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
  chmodSync(join(bin, 'labrun'), 0o755);
  const { LABRUN_HEAD: _, LABRUN_TOKEN: __, LABRUN_CONFIG: ___, NODE_EXTRA_CA_CERTS: ____, ...inherited } = process.env;
  const env = { ...inherited, HOME: join(folder, home), PATH: `${bin}:${inherited['PATH']}` };
  return { argv: network?.on(host, 'bash', '-ec', `cd; ${text}`) ?? [], env };
}

function start(host: string, text: string): Running {
  const { argv, env } = shell(host, text);
  const started = new Running(argv, { env });
  running.push(started);
  return started;
}

async function type(host: string, text: string, home = host) {
  const { argv, env } = shell(host, text, home);
  return await capture(argv, { env });
}

async function ok(host: string, text: string): Promise<string> {
  const said = await type(host, text);
  expect(said.code, said.stderr).toBe(0);
  return said.stdout.trim();
}

const data = '$HOME/labrun-head';

itWith('netns')(
  'work together after one line each, and say nothing in plain text between them',
  async () => {
    const pcap = join(folder, 'wire.pcap');
    const wire = new Running(network?.capture(pcap) ?? []);
    running.push(wire);
    await wire.line(/listening on br0/);

    await ok('storage', `labrun head init --data ${data}`);
    await start('storage', `exec labrun head start --data ${data}`).line(/listening on 0\.0\.0\.0:7420/);
    const forNode = await ok('storage', `labrun token create --data ${data} --node`);
    const forUser = await ok('storage', `labrun token create --data ${data} --user ada`);
    await ok('office', `labrun agent join storage:7420 --token ${forNode} --data $HOME/agent --name office-1`);
    await start('office', 'exec labrun agent start --data $HOME/agent --dedicated').line(/connected to storage:7420/);
    await ok('laptop', `labrun login storage:7420 --token ${forUser}`);

    const spec = {
      name: 'wiretapped',
      job: {
        name: 'j',
        needs: { cpus: 1 },
        files: ['input.txt'],
        run: 'echo spoken-secret; cat input.txt input.txt > $LABRUN_ARCHIVE/out',
      },
    };
    writeFileSync(join(folder, 'laptop', 'labrun.yaml'), JSON.stringify(spec));
    writeFileSync(join(folder, 'laptop', 'input.txt'), 'written-secret\n'.repeat(1_000));
    await ok('laptop', 'labrun submit --wait; labrun pull wiretapped --to pulled; labrun logs wiretapped/j');
    expect(readFileSync(join(folder, 'laptop', 'pulled/wiretapped/j/out'), 'utf8')).toHaveLength(30_000);

    await wire.stop();
    const bytes = readFileSync(pcap);
    expect(bytes.length).toBeGreaterThan(20_000);
    expect(bytes.includes(Buffer.from([0x16, 0x03, 0x01]))).toBe(true); // a TLS handshake: the capture saw the wire
    const secrets = [forNode, forUser].map((token) => token.split('.')[2] ?? '?');
    for (const text of ['wiretapped', 'spoken-secret', 'written-secret', 'office-1', 'labrun.v1', ...secrets]) {
      expect(bytes.includes(text), text).toBe(false);
    }
  },
  60_000,
);

itWith('netns')(
  'turn away whoever does not belong, with a sentence that helps',
  async () => {
    const token = await ok('storage', `labrun token create --data ${data} --user eve`);
    await ok('laptop', `mkdir -p $HOME/../eve; HOME=$HOME/../eve labrun login storage:7420 --token ${token}`);
    const path = join(folder, 'eve', '.config/labrun/credentials.json');
    const good = await readCredentials(path);
    if (!good) throw new Error('eve has logged in');
    const clusterId = clusterOf();
    const eve = { kind: 'user', clusterId, name: 'eve' } as const;
    const pki = join(folder, 'storage/labrun-head/pki');
    const own = {
      certificatePem: readFileSync(join(pki, 'authority.pem'), 'utf8'),
      keyPem: readFileSync(join(pki, 'authority.key'), 'utf8'),
    };
    const nowMs = Date.now();
    const other = await makeAuthority(clusterId, nowMs, systemRandom);
    const asks = async (says: string) => {
      const said = await type('laptop', 'labrun nodes', 'eve');
      expect(said, said.stderr).toMatchObject({ code: 4, stdout: '' });
      expect(said.stderr).toContain(says);
    };

    await writeCredentials(path, { ...good, ...(await aCredential(other, eve, nowMs, dayMs)) });
    await asks('your certificate was not made by this cluster');
    await writeCredentials(path, { ...good, ...(await aCredential(own, eve, nowMs - 100 * dayMs, 90 * dayMs)) });
    await asks('your certificate has expired; ask an admin for a new token');
    await writeCredentials(path, good);
    expect((await type('laptop', 'labrun nodes', 'eve')).code).toBe(0);
    await ok('storage', `labrun user remove eve --data ${data}`);
    await asks('your certificate is no longer valid');

    const stranger = await type('laptop', 'labrun nodes --head storage:7420', 'stranger');
    expect(stranger).toMatchObject({ code: 4 });
    expect(stranger.stderr).toContain('labrun login storage:7420 --token T');
    const reused = await type('laptop', `labrun login storage:7420 --token ${token}`, 'stranger');
    expect(reused).toMatchObject({ code: 4 });
    expect(reused.stderr).toContain('this token has been used, has expired or was revoked');
    const elsewhere = token.replace(/[^.]{43}$/, 'A'.repeat(43));
    const forged = await type('laptop', `labrun login storage:7420 --token ${elsewhere}`, 'stranger');
    expect(forged).toMatchObject({ code: 4 });
    expect(forged.stderr).toContain('it is not the head this token was made by');
  },
  60_000,
);

function clusterOf(): ClusterId {
  const text = readFileSync(join(folder, 'storage/labrun-head/cluster.json'), 'utf8');
  const clusterId = asClusterId(JSON.parse(text).clusterId);
  if (!clusterId) throw new Error('a head has a cluster');
  return clusterId;
}
