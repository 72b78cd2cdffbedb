import { unreachable } from '../../base/assert.ts';
import type { NodeId } from '../../base/ids.ts';
import { nameKey } from '../../base/names.ts';
import type { AccessEvent } from './access-event.ts';
import type { AccessDraft, Certificates } from './access-state.ts';
import type { Actor } from './actor.ts';
import type { ClusterDraft } from './draft.ts';
import { certificatesMax } from './limits.ts';

/** Makes an event about those who belong true. */
export function applyAccess(draft: ClusterDraft, event: AccessEvent, actor: Actor, atMs: number): void {
  const { access } = draft;
  switch (event.kind) {
    case 'token-created': {
      const { tokenId: id, secretHash, use, uses: usesLeft, expiresAtMs } = event;
      access.tokens.set(id, { id, secretHash, use, usesLeft, expiresAtMs, createdBy: actor, createdAtMs: atMs });
      // What has run out is of no use to anyone; it goes when something new comes.
      for (const token of access.tokens.values()) if (token.expiresAtMs <= atMs) access.tokens.delete(token.id);
      return;
    }
    case 'token-revoked':
      access.tokens.delete(event.tokenId);
      return;
    case 'certificate-issued':
      useToken(access, event.tokenId);
      return note(access, event, atMs);
    case 'user-removed':
      access.users.delete(nameKey(event.name));
      // A token that was still lying about would let them in again.
      for (const { id, use } of access.tokens.values())
        if (use.kind === 'user' && nameKey(use.name) === nameKey(event.name)) access.tokens.delete(id);
      return;
    case 'node-removed':
      return removeNode(draft, event.nodeId);
    case 'node-owned': {
      const member = access.members.get(event.nodeId);
      const name = member?.name ?? draft.nodes.get(event.nodeId)?.name ?? '';
      access.members.set(event.nodeId, { name, certificates: new Map(), ...member, owner: event.owner });
      return;
    }
    case 'namespace-shared': {
      const namespace = access.namespaces.get(nameKey(event.namespace));
      if (!namespace) return;
      const members = new Set(namespace.members);
      if (event.shared) members.add(nameKey(event.user));
      else members.delete(nameKey(event.user));
      access.namespaces.set(nameKey(event.namespace), { ...namespace, members });
      return;
    }
    case 'namespace-opened': {
      const namespace = access.namespaces.get(nameKey(event.namespace));
      if (namespace) access.namespaces.set(nameKey(event.namespace), { ...namespace, readable: event.readable });
      return;
    }
    case 'namespace-filled': {
      const namespace = access.namespaces.get(nameKey(event.namespace));
      if (namespace) access.namespaces.set(nameKey(event.namespace), { ...namespace, full: event.full });
      return;
    }
    default:
      return unreachable(event);
  }
}

/** A namespace belongs to the first user who uses it. */
export function claimNamespace(access: AccessDraft, name: string, actor: Actor): void {
  const key = nameKey(name);
  if (actor.kind !== 'user' || access.namespaces.has(key)) return;
  access.namespaces.set(key, { name, owner: actor.name, members: new Set(), readable: true, full: '' });
}

function useToken(access: AccessDraft, tokenId: string): void {
  const token = access.tokens.get(tokenId);
  if (!token) return;
  if (token.usesLeft > 1) access.tokens.set(tokenId, { ...token, usesLeft: token.usesLeft - 1 });
  else access.tokens.delete(tokenId);
}

function note(
  access: AccessDraft,
  { enrolled, serial, notAfterMs }: Extract<AccessEvent, { kind: 'certificate-issued' }>,
  atMs: number,
): void {
  if (enrolled.kind === 'node') {
    const { name, owner } = enrolled;
    const before = access.members.get(enrolled.nodeId)?.certificates ?? new Map();
    access.members.set(enrolled.nodeId, { name, owner, certificates: withNew(before, serial, notAfterMs, atMs) });
    access.formerNodes.delete(enrolled.nodeId);
    return;
  }
  const { name, admin } = enrolled;
  const before = access.users.get(nameKey(name));
  const certificates = withNew(before?.certificates ?? new Map(), serial, notAfterMs, atMs);
  access.users.set(nameKey(name), { name, admin, joinedAtMs: before?.joinedAtMs ?? atMs, certificates });
}

/** Valid ones and the new one; the oldest gives way when someone has very many. */
function withNew(before: Certificates, serial: string, notAfterMs: number, atMs: number): Certificates {
  const valid = [...before].filter(([, endsMs]) => endsMs > atMs);
  return new Map([...valid.slice(-(certificatesMax - 1)), [serial, notAfterMs]]);
}

function removeNode(draft: ClusterDraft, nodeId: NodeId): void {
  const name = draft.nodes.get(nodeId)?.name ?? draft.access.members.get(nodeId)?.name;
  if (name !== undefined) draft.access.formerNodes.set(nodeId, name);
  draft.access.members.delete(nodeId);
  draft.nodes.delete(nodeId);
}
