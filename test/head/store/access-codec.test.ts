import { expect, it } from 'vitest';
import { asNodeId, ulid } from '../../../base/ids.ts';
import type { AccessEvent } from '../../../head/scheduler/access-event.ts';
import { applyAccess, claimNamespace } from '../../../head/scheduler/apply-access.ts';
import { emptyCluster } from '../../../head/scheduler/draft.ts';
import { decodeAccess, decodeAccessEvent, encodeAccess, encodeAccessEvent } from '../../../head/store/access-codec.ts';

const nodeId = asNodeId(ulid(1, Buffer.alloc(10, 7)));
if (!nodeId) throw new Error('ulid makes ids');
const root = { kind: 'user', name: 'root' } as const;
const events: readonly AccessEvent[] = [
  {
    kind: 'token-created',
    tokenId: 't1',
    secretHash: 'ab',
    use: { kind: 'user', name: 'Ada', admin: true },
    uses: 3,
    expiresAtMs: 2_000,
  },
  {
    kind: 'token-created',
    tokenId: 't2',
    secretHash: 'cd',
    use: { kind: 'node', owner: 'Ada' },
    uses: 1,
    expiresAtMs: 3_000,
  },
  {
    kind: 'certificate-issued',
    tokenId: 't1',
    enrolled: { kind: 'user', name: 'Ada', admin: true },
    serial: '0123',
    notAfterMs: 9_000,
  },
  {
    kind: 'certificate-issued',
    tokenId: '',
    enrolled: { kind: 'node', nodeId, name: 'n1', owner: 'Ada' },
    serial: '99',
    notAfterMs: 9_000,
  },
  { kind: 'namespace-shared', namespace: 'ADA', user: 'Bob', shared: true },
  { kind: 'namespace-opened', namespace: 'ada', readable: false },
  { kind: 'namespace-filled', namespace: 'ada', full: 'the namespace "ada" has used 2 G of its 1 G' },
  { kind: 'node-owned', nodeId, owner: 'Bob' },
];

it('brings every event about those who belong back from the disk', () => {
  const more: readonly AccessEvent[] = [
    { kind: 'token-revoked', tokenId: 't2' },
    { kind: 'user-removed', name: 'Ada' },
    { kind: 'node-removed', nodeId },
  ];
  for (const event of [...events, ...more]) expect(decodeAccessEvent(encodeAccessEvent(event))).toEqual(event);
});

it('brings those who belong back from a snapshot, found by the names they would be looked up by', () => {
  const draft = emptyCluster();
  claimNamespace(draft.access, 'Ada', { kind: 'user', name: 'Ada' });
  for (const event of events) applyAccess(draft, event, root, 1_000);
  const { access } = draft;
  expect(access.tokens.get('t1')?.usesLeft).toBe(2);
  expect(access.users.get('ada')).toMatchObject({ name: 'Ada', admin: true });
  expect(access.namespaces.get('ada')).toMatchObject({ owner: 'Ada', readable: false, members: new Set(['bob']) });
  expect(access.members.get(nodeId)).toMatchObject({ owner: 'Bob' });
  expect(decodeAccess(encodeAccess(access))).toEqual(access);
});

it('leaves who is removed no token to come back with', () => {
  const draft = emptyCluster();
  for (const event of events) applyAccess(draft, event, root, 1_000);
  applyAccess(draft, { kind: 'user-removed', name: 'ADA' }, root, 1_000);
  expect(draft.access.users.size).toBe(0);
  expect([...draft.access.tokens.keys()]).toEqual(['t2']);
});
