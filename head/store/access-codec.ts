import { assert } from '../../base/assert.ts';
import { nameKey } from '../../base/names.ts';
import type * as log from '../../proto/gen/labrun/store/v1/log.ts';
import type * as snapshot from '../../proto/gen/labrun/store/v1/snapshot.ts';
import type { AccessEvent } from '../scheduler/access-event.ts';
import {
  type AccessDraft,
  type AccessState,
  type Certificates,
  emptyAccess,
  type TokenUse,
} from '../scheduler/access-state.ts';
import { big, decodeActor, nodeId } from './value-codec.ts';

/** Turns an event about those who belong into what the disk has. */
export function encodeAccessEvent(event: AccessEvent): StoredAccess {
  switch (event.kind) {
    case 'token-created': {
      const { tokenId, secretHash, use, uses, expiresAtMs } = event;
      const value = { tokenId, secretHash, use: encodeUse(use), uses, expiresAtMs: big(expiresAtMs) };
      return { $case: 'tokenCreated', value };
    }
    case 'token-revoked':
      return { $case: 'tokenRevoked', value: { tokenId: event.tokenId } };
    case 'certificate-issued': {
      const { tokenId, enrolled, serial, notAfterMs } = event;
      const whom =
        enrolled.kind === 'node'
          ? { nodeId: enrolled.nodeId, name: enrolled.name, owner: enrolled.owner, admin: false }
          : { nodeId: '', name: enrolled.name, owner: '', admin: enrolled.admin };
      return { $case: 'certificateIssued', value: { tokenId, ...whom, serial, notAfterMs: big(notAfterMs) } };
    }
    case 'user-removed':
      return { $case: 'userRemoved', value: { name: event.name } };
    case 'node-removed':
      return { $case: 'nodeRemoved', value: { nodeId: event.nodeId } };
    case 'node-owned':
      return { $case: 'nodeOwned', value: { nodeId: event.nodeId, owner: event.owner } };
    case 'namespace-shared': {
      const { namespace, user, shared } = event;
      return { $case: 'namespaceShared', value: { namespace, user, shared } };
    }
    case 'namespace-opened':
      return { $case: 'namespaceOpened', value: { namespace: event.namespace, readable: event.readable } };
    default:
      return { $case: 'namespaceFilled', value: { namespace: event.namespace, full: event.full } };
  }
}

/** An event about those who belong, as the disk has it. */
export type StoredAccess = Extract<
  NonNullable<log.Event['event']>,
  { $case: `token${string}` | 'certificateIssued' | 'userRemoved' | 'nodeRemoved' | 'nodeOwned' | `namespace${string}` }
>;

/** An event about those who belong, from the disk. */
export function decodeAccessEvent({ $case, value }: StoredAccess): AccessEvent {
  switch ($case) {
    case 'tokenCreated':
      return {
        kind: 'token-created',
        tokenId: value.tokenId,
        secretHash: value.secretHash,
        use: decodeUse(value.use),
        uses: value.uses,
        expiresAtMs: Number(value.expiresAtMs),
      };
    case 'tokenRevoked':
      return { kind: 'token-revoked', tokenId: value.tokenId };
    case 'certificateIssued': {
      const { tokenId, name, serial, owner, admin } = value;
      const enrolled =
        value.nodeId === ''
          ? { kind: 'user' as const, name, admin }
          : { kind: 'node' as const, nodeId: nodeId(value.nodeId), name, owner };
      return { kind: 'certificate-issued', tokenId, enrolled, serial, notAfterMs: Number(value.notAfterMs) };
    }
    case 'userRemoved':
      return { kind: 'user-removed', name: value.name };
    case 'nodeRemoved':
      return { kind: 'node-removed', nodeId: nodeId(value.nodeId) };
    case 'nodeOwned':
      return { kind: 'node-owned', nodeId: nodeId(value.nodeId), owner: value.owner };
    case 'namespaceShared': {
      const { namespace, user, shared } = value;
      return { kind: 'namespace-shared', namespace, user, shared };
    }
    case 'namespaceOpened':
      return { kind: 'namespace-opened', namespace: value.namespace, readable: value.readable };
    default:
      return { kind: 'namespace-filled', namespace: value.namespace, full: value.full };
  }
}

/** Those who belong, as a snapshot has them. */
export function encodeAccess(access: AccessState): snapshot.SnapshotAccess {
  return {
    tokens: [...access.tokens.values()].map((token) => ({
      created: {
        tokenId: token.id,
        secretHash: token.secretHash,
        use: encodeUse(token.use),
        uses: token.usesLeft,
        expiresAtMs: big(token.expiresAtMs),
      },
      usesLeft: token.usesLeft,
      createdBy: token.createdBy,
      createdAtMs: big(token.createdAtMs),
    })),
    users: [...access.users.values()].map(({ name, admin, joinedAtMs, certificates }) => ({
      name,
      admin,
      joinedAtMs: big(joinedAtMs),
      certificates: encodeCertificates(certificates),
    })),
    members: [...access.members].map(([id, { name, owner, certificates }]) => ({
      nodeId: id,
      name,
      owner,
      certificates: encodeCertificates(certificates),
    })),
    namespaces: [...access.namespaces.values()].map((namespace) => ({ ...namespace, members: [...namespace.members] })),
    formerNodes: Object.fromEntries(access.formerNodes),
  };
}

/** Those who belong, from a snapshot; one of a release that knew nobody has none. */
export function decodeAccess(stored: snapshot.SnapshotAccess | undefined): AccessDraft {
  const access = emptyAccess();
  for (const { created, usesLeft, createdBy, createdAtMs } of stored?.tokens ?? []) {
    assert(created, 'a snapshot holds whole tokens');
    const { tokenId: id, secretHash } = created;
    const times = { expiresAtMs: Number(created.expiresAtMs), createdAtMs: Number(createdAtMs) };
    const use = decodeUse(created.use);
    access.tokens.set(id, { id, secretHash, use, usesLeft, ...times, createdBy: decodeActor(createdBy) });
  }
  for (const { name, admin, joinedAtMs, certificates } of stored?.users ?? []) {
    const user = { name, admin, joinedAtMs: Number(joinedAtMs), certificates: decodeCertificates(certificates) };
    access.users.set(nameKey(name), user);
  }
  for (const member of stored?.members ?? []) {
    const { name, owner, certificates } = member;
    access.members.set(nodeId(member.nodeId), { name, owner, certificates: decodeCertificates(certificates) });
  }
  for (const { name, owner, members, readable, full } of stored?.namespaces ?? []) {
    access.namespaces.set(nameKey(name), { name, owner, members: new Set(members), readable, full });
  }
  for (const [id, name] of Object.entries(stored?.formerNodes ?? {})) access.formerNodes.set(nodeId(id), name);
  return access;
}

function encodeUse(use: TokenUse): log.TokenUse {
  return use.kind === 'node'
    ? { node: true, owner: use.owner, userName: '', admin: false }
    : { node: false, owner: '', userName: use.name, admin: use.admin };
}

function decodeUse(stored: log.TokenUse | undefined): TokenUse {
  assert(stored, 'a token is for someone');
  if (stored.node) return { kind: 'node', owner: stored.owner };
  return { kind: 'user', name: stored.userName, admin: stored.admin };
}

function encodeCertificates(certificates: Certificates): Record<string, bigint> {
  return Object.fromEntries([...certificates].map(([serial, endsMs]) => [serial, big(endsMs)]));
}

function decodeCertificates(stored: Readonly<Record<string, bigint>>): Map<string, number> {
  return new Map(Object.entries(stored).map(([serial, endsMs]) => [serial, Number(endsMs)]));
}
