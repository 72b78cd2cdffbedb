import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call, openClient } from '../../base/channel/client.ts';
import type { Endpoint } from '../../base/channel/credentials.ts';
import { readStream } from '../../base/channel/streams.ts';
import { RefusedError } from '../../base/errors.ts';
import { makeKeyRequest } from '../../base/pki/request.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { writeSpec } from '../../config/spec-file.ts';
import { type Right, rules } from '../../head/access.ts';
import { AccessClient } from '../../proto/gen/labrun/v1/access.ts';
import { AgentLinkClient } from '../../proto/gen/labrun/v1/agent_link.ts';
import { ArchiveClient } from '../../proto/gen/labrun/v1/archive.ts';
import { BatchesClient, SubmitMode } from '../../proto/gen/labrun/v1/batches.ts';
import { BlobsClient } from '../../proto/gen/labrun/v1/blobs.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import { NodesClient } from '../../proto/gen/labrun/v1/nodes.ts';
import { AgentShellsClient, ShellsClient } from '../../proto/gen/labrun/v1/shell.ts';
import { UpkeepClient } from '../../proto/gen/labrun/v1/upkeep.ts';
import { aSelector, newBatchId } from '../kit/head-world.ts';
import { LinkAgent } from '../kit/link-agent.ts';
import { aSpec } from '../kit/spec.ts';
import { TlsHead } from '../kit/tls-head.ts';

// Every cell of the table, over real TLS: who may do what, in ada's namespace "ada", which is closed and shared with bob.
type Name = 'nobody' | 'ada' | 'bob' | 'eve' | 'root' | 'holder' | 'other';
const everyone: readonly Name[] = ['nobody', 'ada', 'bob', 'eve', 'root', 'holder', 'other'];
const users: readonly Name[] = ['ada', 'bob', 'eve', 'root'];

let folder = '';
let head: TlsHead;
const endpoints = new Map<Name, Endpoint>();
let holder: LinkAgent;
let fence: Fence | undefined;
let specHash = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'labrun-access-'));
  head = await TlsHead.open(folder);
  endpoints.set('nobody', await head.nobody());
  for (const name of ['ada', 'bob', 'eve'] as const) endpoints.set(name, (await head.user(name)).endpoint);
  endpoints.set('root', (await head.user('root', true)).endpoint);
  const [one, two] = [await head.node('n1', 'ada'), await head.node('n2')];
  endpoints.set('holder', one.endpoint).set('other', two.endpoint);
  specHash = await submitAs('ada');
  await as('ada', AccessClient, (client) =>
    call(client, client.shareNamespace, { namespace: 'ada', user: 'bob', shared: true }),
  );
  await as('ada', AccessClient, (client) => call(client, client.setNamespace, { namespace: 'ada', readable: false }));
  holder = await new LinkAgent(one.endpoint, 'n1', 1, one.nodeId).connected();
  fence = (await holder.hear('assign')).fence;
});
afterAll(async () => {
  holder.close();
  await head.close();
  await rm(folder, { recursive: true });
});

async function as<C extends Client, Result>(
  name: Name,
  make: Parameters<typeof openClient<C>>[0],
  act: (client: C) => Promise<Result>,
): Promise<Result> {
  const endpoint = endpoints.get(name);
  if (!endpoint) throw new Error(`${name} has not joined`);
  const client = openClient(make, endpoint, 'control');
  try {
    return await act(client);
  } finally {
    client.close();
  }
}

async function submitAs(name: Name): Promise<string> {
  const spec = aSpec({ namespace: 'ada', name: `of-${name}` });
  const bytes = writeSpec(spec);
  await as(name, BlobsClient, (client) => putBlob(client, bytes));
  const request = {
    batchId: newBatchId(),
    namespace: 'ada',
    name: `of-${name}`,
    specHash: hashBytes(bytes),
    mode: SubmitMode.NEW,
    sourceHash: '',
    dryRun: false,
  };
  await as(name, BatchesClient, (client) => call(client, client.submit, request));
  return hashBytes(bytes);
}

function putBlob(client: BlobsClient, data: Uint8Array): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const stream = client.put((error, response) => (error ? reject(error) : resolve(response)));
    stream.on('error', reject);
    stream.write({
      namespace: 'ada',
      hash: hashBytes(data),
      size: BigInt(data.length),
      offset: 0n,
      data: Buffer.from(data),
    });
    stream.end();
  });
}

const selector = aSelector({ namespace: 'ada', batch: 'of-ada' });
const drain = async (stream: AsyncIterable<unknown>) => {
  for await (const _ of stream);
};

/** One way to ask for each right, and who may. */
const cells: Readonly<Record<Right, { may: readonly Name[]; ask: (name: Name) => Promise<unknown> }>> = {
  enrol: {
    may: everyone,
    ask: async (name) => {
      const text = await head.token({ userName: `new-${name}` });
      const [, tokenId = '', secret = ''] = text.split('.');
      const { requestPem } = await makeKeyRequest();
      const request = { tokenId, secret, requestPem, nodeId: '', nodeName: '', owner: '' };
      return as(name, AccessClient, (client) => call(client, client.enrol, request));
    },
  },
  renew: {
    may: [...users, 'holder', 'other'],
    ask: async (name) => {
      const { requestPem } = await makeKeyRequest();
      return as(name, AccessClient, (client) => call(client, client.renew, { requestPem }));
    },
  },
  'who-am-i': {
    may: [...users, 'holder', 'other'],
    ask: (name) => as(name, AccessClient, (client) => call(client, client.whoAmI, {})),
  },
  'batch.read': {
    may: ['ada', 'bob', 'root'],
    ask: (name) => as(name, BatchesClient, (client) => call(client, client.get, { selector })),
  },
  'batch.change': { may: ['ada', 'bob', 'root'], ask: (name) => submitUnlessThere(name) },
  'blob.put': {
    may: ['ada', 'bob', 'root'],
    ask: (name) => as(name, BlobsClient, (client) => call(client, client.missing, { namespace: 'ada', hashes: [] })),
  },
  'cluster.read': {
    may: users,
    ask: (name) => as(name, NodesClient, (client) => call(client, client.list, {})),
  },
  'job.shell': {
    // The submitter, who is the owner of the node that has it as well; an admin is neither.
    may: ['ada'],
    ask: (name) =>
      as(name, ShellsClient, (client) => {
        const stream = client.inJob();
        stream.write({
          input: { $case: 'start', value: { where: { $case: 'job', value: selector }, term: '', argv: [] } },
        });
        return drain(readStream(stream));
      }),
  },
  'node.shell': {
    may: ['root'],
    ask: (name) =>
      as(name, ShellsClient, (client) => {
        const stream = client.onNode();
        stream.write({
          input: { $case: 'start', value: { where: { $case: 'node', value: 'n1' }, term: '', argv: [] } },
        });
        return drain(readStream(stream));
      }),
  },
  'agent.shell': {
    may: ['holder', 'other'],
    ask: (name) => as(name, AgentShellsClient, (client) => drain(readStream(hangUp(client.attach())))),
  },
  'agent.link': {
    may: ['holder', 'other'],
    ask: (name) => as(name, AgentLinkClient, (client) => drain(readStream(hangUp(client.link())))),
  },
  'blob.get': {
    may: ['ada', 'bob', 'root', 'holder'],
    ask: (name) =>
      as(name, BlobsClient, (client) =>
        drain(readStream(client.get({ namespace: 'ada', hash: specHash, offset: 0n }))),
      ),
  },
  'archive.put': {
    may: ['holder'],
    ask: (name) => as(name, ArchiveClient, (client) => drain(readStream(client.staged({ attempt: fence })))),
  },
  'token.manage': {
    may: ['root'],
    ask: (name) => as(name, AccessClient, (client) => call(client, client.listTokens, {})),
  },
  'user.list': { may: ['root'], ask: (name) => as(name, AccessClient, (client) => call(client, client.listUsers, {})) },
  'user.remove': {
    may: ['root'],
    ask: async (name) => {
      await head.user(`victim-of-${name}`);
      return as(name, AccessClient, (client) => call(client, client.removeUser, { name: `victim-of-${name}` }));
    },
  },
  'node.remove': {
    may: ['root'],
    ask: async (name) => {
      await head.node(`victim-of-${name}`);
      return as(name, AccessClient, (client) => call(client, client.removeNode, { node: `victim-of-${name}` }));
    },
  },
  'node.own': {
    may: ['root'],
    ask: (name) => as(name, AccessClient, (client) => call(client, client.setNodeOwner, { node: 'n1', owner: 'ada' })),
  },
  'node.drain': {
    may: ['root'],
    ask: (name) => as(name, NodesClient, (client) => call(client, client.undrain, { node: 'n1' })),
  },
  'namespace.list': {
    may: users,
    ask: (name) => as(name, AccessClient, (client) => call(client, client.listNamespaces, {})),
  },
  'namespace.change': {
    may: ['ada', 'root'],
    ask: (name) =>
      as(name, AccessClient, (client) => call(client, client.setNamespace, { namespace: 'ada', readable: false })),
  },
  'head.backup': {
    may: ['root'],
    ask: (name) => as(name, UpkeepClient, (client) => drain(readStream(client.backup({ folder: '' })))),
  },
  audit: {
    may: ['root'],
    ask: (name) => as(name, AccessClient, (client) => drain(readStream(client.audit({ since: 0n })))),
  },
};

/** Whoever may submit has what they sent taken in; a batch of that name would be refused for another reason. */
async function submitUnlessThere(name: Name): Promise<unknown> {
  const jobs = { selector: aSelector({ namespace: 'ada', batch: 'of-ada', job: 'none-*' }) };
  return await as(name, BatchesClient, (client) => call(client, client.hold, jobs));
}

function hangUp<Stream extends { end(): unknown }>(stream: Stream): Stream {
  stream.end();
  return stream;
}

describe('the table of rights', () => {
  it('has a way to ask for each', () => {
    expect(Object.keys(cells).sort()).toEqual(Object.keys(rules).sort());
  });

  for (const [right, { may, ask }] of Object.entries(cells)) {
    it.each(everyone)(`holds for "${right}" and %s`, async (name) => {
      const answer = await ask(name).then(
        () => undefined,
        (error: unknown) => error,
      );
      const code = answer instanceof RefusedError ? answer.refusal.code : undefined;
      if (may.includes(name)) expect(code, String(answer)).not.toBe('denied');
      else {
        expect(['denied', 'stale'], String(answer)).toContain(code);
        expect(String(answer)).toMatch(/^\w*:? ?Cannot /);
      }
    });
  }
});

describe('who is removed', () => {
  it('is out at once, on an open connection too, and learns why when they come back', async () => {
    const mallory = await head.node('m');
    const link = await new LinkAgent(mallory.endpoint, 'm', 1, mallory.nodeId).connected();
    await as('root', AccessClient, (client) => call(client, client.removeNode, { node: 'm' }));
    await link.over();
    link.close();
    endpoints.set('other', mallory.endpoint);
    const again = new LinkAgent(mallory.endpoint, 'm', 1, mallory.nodeId);
    await expect(again.connected()).rejects.toThrow('no longer valid');
    again.close();
  });
});

describe('names in metadata', () => {
  it('are nothing against a certificate', async () => {
    const forged = callerMetadata({ kind: 'user', name: 'root' });
    const me = await as('eve', AccessClient, (client) => call(client, client.whoAmI, {}, { metadata: forged }));
    expect(me).toMatchObject({ actor: { name: 'eve' }, admin: false, local: false });
    await expect(
      as('eve', AccessClient, (client) => call(client, client.listTokens, {}, { metadata: forged })),
    ).rejects.toThrow('takes an admin');
  });
});

describe('a token', () => {
  it('works once, and not when it was revoked or has run out', async () => {
    const text = await head.token({ userName: 'once' });
    await head.enrol(text);
    await expect(head.enrol(text)).rejects.toThrow('has been used, has expired or was revoked');
    const revoked = await head.token({ userName: 'never' });
    const id = revoked.split('.')[1] ?? '';
    await call(head.local, head.local.revokeToken, { id }, { metadata: head.metadata });
    await expect(head.enrol(revoked)).rejects.toThrow('ask an admin for another');
  });

  it('is not guessed: who fails often must wait', async () => {
    const text = await head.token({ userName: 'guess' });
    const wrong = text.replace(/\.[^.]{32}\./, `.${'A'.repeat(32)}.`);
    const failures: string[] = [];
    for (let tries = 0; tries < 12; tries++) await head.enrol(wrong).catch((error) => failures.push(String(error)));
    expect(failures.at(0)).toContain('not a token of this head');
    expect(failures.at(-1)).toContain('too many tries failed from your address');
  });
});
