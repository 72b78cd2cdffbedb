import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatAddress } from '../../base/channel/address.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { type Credentials, certificateOf, readCredentials, writeCredentials } from '../../base/pki/credential-file.ts';
import { inTerminal } from '../kit/a-terminal.ts';
import { aCredential } from '../kit/pki.ts';
import { type Captured, capture, Running } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { TlsHead } from '../kit/tls-head.ts';

let folder = '';
let head: TlsHead;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'labrun-access-'));
  head = await TlsHead.open(join(folder, 'head'));
});
afterEach(async () => {
  await head.close();
  rmSync(folder, { recursive: true });
});

const dayMs = 24 * 3_600_000;
const environment = (more: Record<string, string> = {}) => ({
  PATH: process.env['PATH'] ?? '',
  HOME: join(folder, 'home'),
  ...more,
});
const login = () => join(folder, 'home/.config/labrun/credentials.json');
const where = () => formatAddress(head.head.address);

function labrun(...args: string[]): Promise<Captured> {
  return capture([process.execPath, program, ...args], { env: environment() });
}

async function ok(...args: string[]): Promise<string> {
  const said = await labrun(...args);
  expect(said.code, said.stderr).toBe(0);
  return said.stdout;
}

/** What an admin types on the head's own machine. */
const admin = (...args: string[]) => ok(...args, '--data', head.folder);

async function refusedWith(says: string, ...args: string[]): Promise<void> {
  const said = await labrun(...args);
  expect(said, said.stderr).toMatchObject({ code: 4, stdout: '' });
  expect(said.stderr).toContain(says);
}

describe('a login', () => {
  it('takes its token from the environment or from standard input, and is enough for every command after it', async () => {
    const forAda = (await admin('token', 'create', '--user', 'ada')).trim();
    const given = { env: environment({ LABRUN_TOKEN: forAda }) };
    expect(await capture([process.execPath, program, 'login', where()], given)).toMatchObject({ code: 0 });
    expect(JSON.parse(await ok('whoami', '--json'))).toMatchObject({ user: 'ada', admin: false, local: false });
    expect(statSync(login()).mode & 0o777).toBe(0o600);

    const forBob = await admin('token', 'create', '--user', 'bob', '--admin');
    const typed = { env: environment(), input: forBob };
    expect(await capture([process.execPath, program, 'login', where(), '--token', '-'], typed)).toMatchObject({
      code: 0,
    });
    expect(JSON.parse(await ok('whoami', '--json'))).toMatchObject({ user: 'bob', admin: true });
    expect(JSON.parse(await ok('logout', '--json'))).toEqual({ changed: true });
    await refusedWith(`use "labrun login ${where()} --token T"`, 'whoami', '--head', where());
  });

  it('leaves nothing of its token in the list of processes', async () => {
    const token = await head.token({ userName: 'ada' });
    const mute = createServer();
    const dialled = once(mute, 'connection');
    await new Promise<void>((listening) => mute.listen(0, '127.0.0.1', listening));
    const bound = mute.address();
    const port = typeof bound === 'object' ? bound?.port : 0;
    const args = [process.execPath, program, 'login', `127.0.0.1:${port}`, '--token', token];
    const waiting = new Running(args, { env: environment() });
    try {
      await dialled;
      expect(readFileSync(`/proc/${waiting.pid}/cmdline`, 'utf8').replaceAll('\0', '')).toBe('labrun');
    } finally {
      await waiting.end('SIGKILL');
      mute.close();
    }
  });

  it('says that another answers, rather than that nobody does', async () => {
    await ok('login', where(), '--token', await head.token({ userName: 'ada' }));
    const other = await TlsHead.open(join(folder, 'other'));
    try {
      await refusedWith('is not the head of this cluster', 'nodes', '--head', formatAddress(other.head.address));
    } finally {
      await other.close();
    }
    const mute = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((listening) => mute.listen(0, '127.0.0.1', listening));
    const bound = mute.address();
    const port = typeof bound === 'object' ? bound?.port : 0;
    await refusedWith('does not speak TLS', 'nodes', '--head', `127.0.0.1:${port}`);
    mute.close();
  });
});

describe('a login that has aged', () => {
  const past: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() - 61 * dayMs };

  it('is renewed by the next command, also when another was killed at it', async () => {
    const before = await TlsHead.open(join(folder, 'past'), past);
    try {
      const address = formatAddress(before.head.address);
      await ok('login', address, '--token', await before.token({ userName: 'ada' }));
      const old = await readCredentials(login());
      const lock = `${login()}.lock`;
      writeFileSync(lock, '');
      await ok('whoami');
      expect(await readCredentials(login())).toEqual(old); // another is at it
      utimesSync(lock, 1, 1);
      await ok('whoami');
      await ok('whoami');
      const renewed = await readCredentials(login());
      expect(renewed?.keyPem).not.toBe(old?.keyPem);
      expect(renewed).toMatchObject({ head: old?.head, name: 'ada', authorityPem: old?.authorityPem });
    } finally {
      await before.close();
    }
  });
});

describe('a workstation whose certificate ran out while it was off', () => {
  it('is told to join again, and is then the same node', async () => {
    const data = join(folder, 'agent');
    const file = join(data, 'identity/credentials.json');
    const rejoin = async () =>
      await ok('agent', 'join', where(), '--token', await head.token({ node: true }), '--data', data, '--name', 'n1');
    const started = () =>
      new Running([process.execPath, program, 'agent', 'start', '--data', data, '--dedicated'], { env: environment() });
    const idOf = (kept: Credentials) => certificateOf(kept).subject;
    await rejoin();
    const good = await readCredentials(file);
    if (!good) throw new Error('it has joined');
    const pki = join(head.folder, 'pki');
    const authority = {
      certificatePem: readFileSync(join(pki, 'authority.pem'), 'utf8'),
      keyPem: readFileSync(join(pki, 'authority.key'), 'utf8'),
    };
    const old = await aCredential(authority, idOf(good), systemClock.nowMs() - 100 * dayMs, 90 * dayMs);
    await writeCredentials(file, { ...good, ...old });
    const late = started();
    try {
      await late.line(/your certificate has expired; ask an admin for a new token and join/);
    } finally {
      await late.stop();
    }
    await rejoin();
    const again = started();
    try {
      await again.line(/connected to/);
    } finally {
      await again.stop();
    }
    const renewed = await readCredentials(file);
    expect(renewed && idOf(renewed)).toEqual(idOf(good));
  }, 30_000);
});

describe('an admin', () => {
  it('makes tokens that stand alone in a pipe, lists them without their secrets, and revokes them', async () => {
    const token = await admin('token', 'create', '--user', 'eve', '--uses', '2');
    expect(token).toMatch(/^labrun1\.\S+\n$/);
    const [, id = '', secret = ''] = token.trim().split('.');
    const listed = await admin('token', 'list', '--json');
    expect(JSON.parse(listed)).toMatchObject({ tokens: [{ id, user: 'eve', usesLeft: 2 }] });
    expect(listed).not.toContain(secret);
    await admin('token', 'revoke', id);
    await refusedWith('was revoked', 'login', where(), '--token', token.trim());
    expect(await labrun('token', 'create', '--data', head.folder)).toMatchObject({ code: 2 });
  });

  itWith('script')(
    'is told in a terminal what to type at the other end, with the port that the head really has',
    async () => {
      const typed = [process.execPath, program, 'token', 'create', '--data', head.folder];
      const said = async (...args: string[]) => (await inTerminal([...typed, ...args], { env: environment() })).stdout;
      expect(await said('--node')).toContain(`There: labrun agent join ${where()} --token T`);
      expect(await said('--user', 'ada')).toContain(`There: labrun login ${where()} --token T`);
      expect(JSON.parse(await admin('token', 'create', '--node', '--json'))).toMatchObject({ head: where() });
    },
  );

  it('removes people and workstations, and reads who did what', async () => {
    await ok('login', where(), '--token', await head.token({ userName: 'ada' }));
    await head.node('n1');
    expect(JSON.parse(await admin('user', 'list', '--json'))).toMatchObject({
      users: [{ name: 'ada', certificates: 1 }],
    });
    // People read times in their own zone, scripts those of all.
    await admin('token', 'create', '--node');
    for (const told of [
      await admin('user', 'list'),
      await admin('token', 'list'),
      await admin('audit'),
      await ok('whoami'),
    ]) {
      expect(told).toMatch(/20\d\d-\d\d-\d\d \d\d:\d\d:\d\d/);
      expect(told).not.toMatch(/T\d\d:\d\d.*Z/);
    }
    await admin('node', 'owner', 'n1', 'ada');
    expect(JSON.parse(await ok('whoami', '--json'))).toMatchObject({ ownedNodes: ['n1'] });
    await admin('node', 'remove', 'n1');
    await refusedWith('that takes an admin', 'audit');
    await admin('user', 'remove', 'ada');
    await refusedWith('you or this node were removed', 'whoami');
    const told = (await admin('audit', '--json'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).message);
    expect(told.filter((line: string) => /n1|ada/.test(line)).length).toBeGreaterThanOrEqual(4);
  });
});
