import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { formatAddress } from '../../../base/channel/address.ts';
import { call, openClient } from '../../../base/channel/client.ts';
import type { Endpoint } from '../../../base/channel/credentials.ts';
import { type Clock, systemClock } from '../../../base/clock.ts';
import {
  type Credentials,
  certificateOf,
  readCredentials,
  writeCredentials,
} from '../../../base/pki/credential-file.ts';
import { systemRandom } from '../../../base/random.ts';
import { Identity } from '../../../node-agent/uplink/identity.ts';
import { AccessClient } from '../../../proto/gen/labrun/v1/access.ts';
import { TlsHead } from '../../kit/tls-head.ts';
import { until } from '../../kit/until.ts';

let folder = '';
let head: TlsHead;
let identity: Identity | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'labrun-identity-'));
  head = await TlsHead.open(join(folder, 'head'));
});
afterEach(async () => {
  identity?.close();
  await head.close();
  await rm(folder, { recursive: true });
});

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const dayMs = 24 * 3_600_000;
const inDays = (days: number): Clock => ({ ...systemClock, nowMs: () => systemClock.nowMs() + days * dayMs });

async function joined(): Promise<Credentials> {
  const { endpoint } = await head.node('n1');
  const { own, authorityPem } = endpoint.credentials ?? { own: undefined, authorityPem: '' };
  const credentials = {
    head: formatAddress(endpoint),
    name: 'n1',
    authorityPem,
    ...(own ?? { certificatePem: '', keyPem: '' }),
  };
  await writeCredentials(join(folder, 'credentials.json'), credentials);
  return credentials;
}

function started(credentials: Credentials, clock: Clock): Identity {
  const file = join(folder, 'credentials.json');
  const made = new Identity({
    address: head.head.address,
    credentials,
    file,
    clock,
    random: systemRandom,
    log: silent,
  });
  made.start(async () => {});
  identity = made;
  return made;
}

async function askWhoIAm(endpoint: Endpoint): Promise<string> {
  const client = openClient(AccessClient, endpoint, 'control');
  try {
    return (await call(client, client.whoAmI, {})).actor?.name ?? '';
  } finally {
    client.close();
  }
}

it('is renewed when two thirds of the life are over: with a new key, on the disk, for the next connection', async () => {
  const before = await joined();
  const agent = started(before, inDays(61));
  const first = agent.endpoint;
  await until('it is renewed', () => agent.endpoint !== first);
  const after = await readCredentials(join(folder, 'credentials.json'));
  expect(after?.keyPem).not.toBe(before.keyPem);
  expect(after && certificateOf(after).subject).toEqual(certificateOf(before).subject);
  expect(await askWhoIAm(agent.endpoint)).toBe(await askWhoIAm(first));
});

it('is left alone before', async () => {
  const before = await joined();
  const agent = started(before, inDays(59));
  const first = agent.endpoint;
  expect(await askWhoIAm(first)).not.toBe('');
  expect(agent.endpoint).toBe(first);
  expect(await readCredentials(join(folder, 'credentials.json'))).toEqual(before);
});
