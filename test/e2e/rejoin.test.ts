import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { formatAddress } from '../../base/channel/address.ts';
import { systemClock } from '../../base/clock.ts';
import { certificateOf, readCredentials, writeCredentials } from '../../base/pki/credential-file.ts';
import { aCredential } from '../kit/pki.ts';
import { isAlive, killAllNaming } from '../kit/proc.ts';
import { capture, Running } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { TlsHead } from '../kit/tls-head.ts';
import { until } from '../kit/until.ts';

// A real head behind TLS, and a real agent with a certificate that is taken away or runs out while its job goes on.
const dayMs = 24 * 3_600_000;
const running: Running[] = [];
let folder = '';
let head: TlsHead;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'labrun-rejoin-'));
  mkdirSync(join(folder, 'home'));
  head = await TlsHead.open(join(folder, 'head'));
  await ok('login', where(), '--token', await head.token({ userName: 'ada', admin: true }));
});
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
  killAllNaming(folder);
  await head.close();
  rmSync(folder, { recursive: true });
});

const where = () => formatAddress(head.head.address);
const env = () => ({ PATH: process.env['PATH'] ?? '', HOME: join(folder, 'home') });
const agentData = () => join(folder, 'agent');
const credentials = () => join(agentData(), 'identity/credentials.json');

async function ok(...args: string[]): Promise<string> {
  const said = await capture([process.execPath, program, ...args], { env: env(), cwd: folder });
  expect(said.code, said.stderr).toBe(0);
  return said.stdout;
}

async function joins(): Promise<void> {
  await ok(
    'agent',
    'join',
    where(),
    '--token',
    await head.token({ node: true }),
    '--data',
    agentData(),
    '--name',
    'n1',
    '--dedicated',
  );
}

/** Starts the agent and waits until it says this. */
async function agentSays(pattern: RegExp): Promise<Running> {
  const agent = new Running([process.execPath, program, 'agent', 'start', '--data', agentData()], { env: env() });
  running.push(agent);
  await agent.line(pattern);
  return agent;
}

/** Submits a job that runs until `go` is there, and resolves with its process when it runs. */
async function aJobRuns(): Promise<number> {
  const [go, pidFile, ran] = ['go', 'pid', 'ran'].map((name) => join(folder, name));
  const run = `echo ran >> ${ran}; echo $$ > ${pidFile}; while [ ! -e ${go} ]; do sleep 0.05; done; wc -l < ${ran} > $LABRUN_ARCHIVE/answer`;
  const spec = { name: 'kept', namespace: 't', jobs: [{ name: 'j', needs: { cpus: 1 }, run }] };
  writeFileSync(join(folder, 'labrun.yaml'), JSON.stringify(spec));
  await ok('submit', 'labrun.yaml');
  return await until('the job runs', () => Number(readFileSync(pidFile ?? '', 'utf8')) || undefined);
}

async function ends(job: number): Promise<void> {
  writeFileSync(join(folder, 'go'), '');
  await until('the job ends without its head', () => !isAlive(job));
}

/** What has become of the job, how often it ran, what was archived, and how often an end of it was taken. */
async function outcome() {
  await ok('wait', 't/kept');
  const { state, attempt } = JSON.parse(await ok('status', 't/kept', '--json')).jobs[0];
  const kinds = (await ok('events', 't/kept', '--json'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).kind);
  return {
    state,
    attempt,
    ran: readFileSync(join(folder, 'ran'), 'utf8').trim().split('\n').length,
    answer: readFileSync(join(folder, 'head/archive/t/kept/j/answer'), 'utf8').trim(),
    kinds,
  };
}

/** Resolves when the agent keeps nothing more of any attempt. */
async function nothingIsKept(): Promise<void> {
  const attempts = join(agentData(), 'attempts');
  await until('the agent lets go of what it kept', () => !existsSync(attempts) || readdirSync(attempts).length === 0);
}

it('delivers once what a node kept while its certificate had run out, after it has joined again', async () => {
  await joins();
  const first = await agentSays(/connected to/);
  expect(JSON.parse(await ok('desk', 'status', '--json', '--data', agentData()))).toMatchObject({ dedicated: true });
  const job = await aJobRuns();
  await first.stop();
  const good = await readCredentials(credentials());
  if (!good) throw new Error('it has joined');
  const pki = (name: string) => readFileSync(join(folder, 'head/pki', name), 'utf8');
  const authority = { certificatePem: pki('authority.pem'), keyPem: pki('authority.key') };
  const old = await aCredential(authority, certificateOf(good).subject, systemClock.nowMs() - 100 * dayMs, 90 * dayMs);
  await writeCredentials(credentials(), { ...good, ...old });
  const late = await agentSays(/your certificate has expired; ask an admin for a new token and join/);
  await ends(job);
  await late.stop();
  await joins();
  const again = await agentSays(/connected to/);
  const { kinds, ...rest } = await outcome();
  expect(rest).toEqual({ state: 'succeeded', attempt: 1, ran: 1, answer: '1' });
  expect(kinds.filter((kind: string) => /^job-(lost|finished)$/.test(kind))).toEqual(['job-finished']);
  await nothingIsKept();
  // Connected once more, it has nothing to say.
  await again.stop();
  await agentSays(/connected to/);
  expect((await outcome()).kinds).toEqual(kinds);
}, 60_000);

it('takes nothing from before the removal of a node that has joined again: its job was given back and runs anew', async () => {
  await joins();
  const first = await agentSays(/connected to/);
  const job = await aJobRuns();
  await ok('node', 'remove', 'n1');
  await first.line(/you or this node were removed|no longer valid/);
  await ends(job);
  await first.stop();
  await joins();
  await agentSays(/connected to/);
  const { kinds, ...rest } = await outcome();
  expect(rest).toEqual({ state: 'succeeded', attempt: 2, ran: 2, answer: '2' });
  expect(kinds.filter((kind: string) => /^job-(lost|finished)$/.test(kind))).toEqual(['job-lost', 'job-finished']);
  await nothingIsKept();
}, 60_000);
