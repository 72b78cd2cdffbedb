import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readAddress } from '../../../base/channel/address.ts';
import { call, openClient } from '../../../base/channel/client.ts';
import type { ClientCredentials, Endpoint } from '../../../base/channel/credentials.ts';
import { findAuthority } from '../../../base/channel/find-authority.ts';
import { closeServer, makeServer } from '../../../base/channel/server.ts';
import { listenTls, type Peer, type TlsListener } from '../../../base/channel/tls-listener.ts';
import { makeAuthority } from '../../../base/pki/authority.ts';
import { fingerprintOf } from '../../../base/pki/certificate.ts';
import { systemRandom } from '../../../base/random.ts';
import { NodesClient, NodesService } from '../../../proto/gen/labrun/v1/nodes.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { aCluster, aCredential } from '../../kit/pki.ts';

const nowMs = Date.now();
const hourMs = 3_600_000;
const clusterId = aCluster();
let authority = { certificatePem: '', keyPem: '' };
let listener: TlsListener;
let clock: ManualClock;
let server = makeServer();
let seen: (Peer | undefined)[] = [];

beforeEach(async () => {
  seen = [];
  clock = new ManualClock(nowMs);
  authority = await makeAuthority(clusterId, nowMs, systemRandom);
  server = makeServer();
  server.addService(NodesService, {
    list: (request: { getPeer(): string }, answer: (error: null, response: { nodes: [] }) => void) => {
      seen.push(listener.peerOf(request.getPeer()));
      answer(null, { nodes: [] });
    },
  });
  const head = await aCredential(authority, { kind: 'head', clusterId }, nowMs, hourMs);
  listener = await listenTls(
    server,
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    { ...head, authorityPem: authority.certificatePem },
    clock,
  );
});
afterEach(async () => {
  await closeServer(server, 100);
  await listener.close();
});

function endpoint(credentials: ClientCredentials): Endpoint {
  return { ...listener.address, credentials };
}

async function list(credentials: ClientCredentials) {
  const client = openClient(NodesClient, endpoint(credentials), 'control');
  try {
    return await call(client, client.list, {}, { deadlineMs: 5_000 });
  } finally {
    client.close();
  }
}

describe('a TLS channel', () => {
  it('tells the server whose certificate the caller has', async () => {
    const subject = { kind: 'user', clusterId, name: 'ada' } as const;
    const own = await aCredential(authority, subject, nowMs, hourMs);
    await list({ authorityPem: authority.certificatePem, own });
    expect(seen).toMatchObject([{ certificate: { subject }, problem: undefined }]);
  });

  it('lets in who shows none, and says so', async () => {
    await list({ authorityPem: authority.certificatePem });
    expect(seen).toMatchObject([{ certificate: undefined, problem: undefined }]);
  });

  it('believes no certificate of another authority, nor one that has expired, and says why', async () => {
    const other = await makeAuthority(clusterId, nowMs, systemRandom);
    const subject = { kind: 'user', clusterId, name: 'eve' } as const;
    const authorityPem = authority.certificatePem;
    await list({ authorityPem, own: await aCredential(other, subject, nowMs, hourMs) });
    await list({ authorityPem, own: await aCredential(authority, subject, nowMs - 2 * hourMs, hourMs) });
    expect(seen.map((peer) => peer?.certificate)).toEqual([undefined, undefined]);
    expect(seen[0]?.problem).toMatch(/UNABLE_TO|SIGNATURE/);
    expect(seen[1]?.problem).toBe('CERT_HAS_EXPIRED');
  });

  it('does not take a user for the head', async () => {
    const user = await aCredential(authority, { kind: 'user', clusterId, name: 'eve' }, nowMs, hourMs);
    listener.renew({ ...user, authorityPem: authority.certificatePem });
    await expect(list({ authorityPem: authority.certificatePem })).rejects.toThrow(/not the head|unsuitable|purpose/);
  });

  it('is cut for those whom the head does not want any more', async () => {
    const own = await aCredential(authority, { kind: 'user', clusterId, name: 'ada' }, nowMs, hourMs);
    const client = openClient(NodesClient, endpoint({ authorityPem: authority.certificatePem, own }), 'control');
    await call(client, client.list, {});
    const serial = seen[0]?.certificate?.serial;
    const cut = change(client);
    listener.cut((peer) => peer.certificate?.serial === serial);
    await cut;
    client.close();
  });

  it('is cut when the certificate ends that it was opened with, be that in months', async () => {
    const dayMs = 24 * hourMs;
    const own = await aCredential(authority, { kind: 'user', clusterId, name: 'ada' }, nowMs, 60 * dayMs);
    const client = openClient(NodesClient, endpoint({ authorityPem: authority.certificatePem, own }), 'control');
    await call(client, client.list, {});
    let cut = false;
    const changed = change(client).then(() => {
      cut = true;
    });
    clock.advance(59 * dayMs);
    await call(client, client.list, {});
    expect(cut).toBe(false);
    clock.advance(2 * dayMs);
    await changed;
    expect(clock.waits).toEqual([]);
    client.close();
  });
});

/** Resolves when a client's connection is no longer what it is. */
function change(client: NodesClient): Promise<unknown> {
  const channel = client.getChannel();
  return new Promise((resolve) => {
    channel.watchConnectivityState(channel.getConnectivityState(false), Number.POSITIVE_INFINITY, resolve);
  });
}

describe('the first connection', () => {
  it('finds the authority by its fingerprint', async () => {
    const fingerprint = fingerprintOf(authority.certificatePem) ?? '';
    const found = await findAuthority(listener.address, fingerprint);
    expect(fingerprintOf(found.authorityPem)).toBe(fingerprint);
    expect(found.clusterId).toBe(clusterId);
  });

  it('believes nobody else', async () => {
    const other = await makeAuthority(clusterId, nowMs, systemRandom);
    const fingerprint = fingerprintOf(other.certificatePem) ?? '';
    await expect(findAuthority(listener.address, fingerprint)).rejects.toThrow('not the head this token was made by');
  });
});

it('says nothing in plain text on a network', () => {
  const address = readAddress('192.0.2.1:7420');
  if (address.kind === 'refused') throw new Error('it is an address');
  expect(() => openClient(NodesClient, address, 'control')).toThrow('in plain text');
});
