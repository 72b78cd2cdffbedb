import { unreachable } from '../../base/assert.ts';
import { type Refusal, refused } from '../../base/errors.ts';
import type { NodeId } from '../../base/ids.ts';
import { nameKey, nameProblem } from '../../base/names.ts';
import type { AccessCommand } from './access-command.ts';
import type { AccessEvent } from './access-event.ts';
import type { Token } from './access-state.ts';
import type { Verdict } from './command.ts';
import type { Event } from './event.ts';
import { tokenLifeMaxMs, tokensMax, tokenUsesMax, usersMax } from './limits.ts';
import { mayLoseAnother } from './losses.ts';
import type { ClusterState } from './state.ts';

type CommandOf<Kind extends AccessCommand['kind']> = Extract<AccessCommand, { readonly kind: Kind }>;

/** What a command about those who belong leads to. */
export function decideAccess(state: ClusterState, command: AccessCommand, nowMs: number): Verdict {
  switch (command.kind) {
    case 'create-token':
      return createToken(state, command, nowMs);
    case 'revoke-token':
      return revokeToken(state, command.id);
    case 'enrol':
      return enrol(state, command, nowMs);
    case 'renew':
      return renew(state, command);
    case 'remove-user': {
      const user = state.access.users.get(nameKey(command.name));
      if (!user) return refused('not-found', `Cannot remove the user "${command.name}": there is none of that name`);
      return accepted({ kind: 'user-removed', name: user.name });
    }
    case 'remove-node':
      return removeNode(state, command.node);
    case 'own-node': {
      const nodeId = findNode(state, command.node);
      if (typeof nodeId !== 'string') return nodeId;
      const problem = command.owner === '' ? undefined : nameProblem(command.owner);
      if (problem) return refused('invalid', `Cannot make "${command.owner}" the owner: the name ${problem}`);
      if (state.access.members.get(nodeId)?.owner === command.owner) return accepted();
      return accepted({ kind: 'node-owned', nodeId, owner: command.owner });
    }
    case 'share-namespace': {
      const namespace = state.access.namespaces.get(nameKey(command.namespace));
      const problem = nameProblem(command.user);
      if (problem) return refused('invalid', `Cannot share with "${command.user}": the name ${problem}`);
      if (!namespace) return noNamespace(command.namespace);
      if (namespace.members.has(nameKey(command.user)) === command.shared) return accepted();
      return accepted({ ...command, kind: 'namespace-shared', namespace: namespace.name });
    }
    case 'open-namespace': {
      const namespace = state.access.namespaces.get(nameKey(command.namespace));
      if (!namespace) return noNamespace(command.namespace);
      if (namespace.readable === command.readable) return accepted();
      return accepted({ kind: 'namespace-opened', namespace: namespace.name, readable: command.readable });
    }
    case 'fill-namespace': {
      const namespace = state.access.namespaces.get(nameKey(command.namespace));
      if (!namespace || (namespace.full === '') === (command.full === '')) return accepted();
      return accepted({ kind: 'namespace-filled', namespace: namespace.name, full: command.full });
    }
    default:
      return unreachable(command);
  }
}

/** The token with this id, if it still lets someone in. */
export function usableToken(state: ClusterState, tokenId: string, nowMs: number): Token | Refusal {
  const token = state.access.tokens.get(tokenId);
  if (token && token.expiresAtMs > nowMs) return token;
  return refused(
    'denied',
    'Cannot let you in: this token has been used, has expired or was revoked; ask an admin for another ("labrun token create")',
  );
}

/** The node of this name or id. */
export function findNode(state: ClusterState, text: string): NodeId | Refusal {
  const ids = new Set([...state.nodes.keys(), ...state.access.members.keys()]);
  const found = [...ids].filter((id) => {
    const name = state.nodes.get(id)?.name ?? state.access.members.get(id)?.name ?? '';
    return id === text || nameKey(name) === nameKey(text);
  });
  const [first, second] = found;
  if (first === undefined) return refused('not-found', `Cannot find the node "${text}": there is none of that name`);
  if (second !== undefined) {
    return refused(
      'conflict',
      `Cannot choose a node: ${found.length} have the name "${text}"; give an id (${found.join(', ')})`,
    );
  }
  return first;
}

function createToken(state: ClusterState, command: CommandOf<'create-token'>, nowMs: number): Verdict {
  const { use, uses, lifeMs, tokenId, secretHash } = command;
  const name = use.kind === 'user' ? use.name : use.owner;
  const problem = use.kind === 'node' && name === '' ? undefined : nameProblem(name);
  if (problem) return refused('invalid', `Cannot make a token for "${name}": the name ${problem}`);
  if (!(uses >= 1 && uses <= tokenUsesMax)) {
    return refused('invalid', `Cannot make a token for ${uses} uses: 1 to ${tokenUsesMax} are possible`);
  }
  if (!(lifeMs > 0 && lifeMs <= tokenLifeMaxMs)) {
    return refused('invalid', `Cannot make a token that lives so long: 30 days at most`);
  }
  const living = [...state.access.tokens.values()].filter(({ expiresAtMs }) => expiresAtMs > nowMs);
  if (living.length >= tokensMax) {
    return refused('limit', `Cannot make a token: there are ${living.length} unused ones; revoke some first`);
  }
  return accepted({ kind: 'token-created', tokenId, secretHash, use, uses, expiresAtMs: nowMs + lifeMs });
}

function revokeToken(state: ClusterState, text: string): Verdict {
  const found = [...state.access.tokens.keys()].filter((id) => text !== '' && id.startsWith(text));
  const [tokenId, second] = found;
  if (tokenId === undefined) return refused('not-found', `Cannot revoke the token "${text}": there is no such token`);
  if (second !== undefined) return refused('conflict', `Cannot revoke "${text}": ${found.length} tokens begin so`);
  return accepted({ kind: 'token-revoked', tokenId });
}

function enrol(state: ClusterState, command: CommandOf<'enrol'>, nowMs: number): Verdict {
  const { tokenId, enrolled, serial, notAfterMs } = command;
  // It may have been used up while the certificate was being made.
  const token = usableToken(state, tokenId, nowMs);
  if ('code' in token) return token;
  if (
    enrolled.kind === 'user' &&
    !state.access.users.has(nameKey(enrolled.name)) &&
    state.access.users.size >= usersMax
  ) {
    return refused('limit', `Cannot let you in: the cluster has ${usersMax} users already`);
  }
  if (enrolled.kind === 'node') {
    const named = findNode(state, enrolled.name);
    if (typeof named === 'string' && named !== enrolled.nodeId) {
      return refused(
        'conflict',
        `Cannot join as "${enrolled.name}": another node has that name; give --name, or have an admin remove it ("labrun node remove ${enrolled.name}")`,
      );
    }
  }
  return accepted({ kind: 'certificate-issued', tokenId, enrolled, serial, notAfterMs });
}

function renew(state: ClusterState, { subject, serial, notAfterMs }: CommandOf<'renew'>): Verdict {
  const issued = { kind: 'certificate-issued', tokenId: '', serial, notAfterMs } as const;
  if (subject.kind === 'user') {
    const user = state.access.users.get(nameKey(subject.name));
    if (!user) return refused('denied', `Cannot renew: the user "${subject.name}" was removed`);
    return accepted({ ...issued, enrolled: { kind: 'user', name: user.name, admin: user.admin } });
  }
  const member = state.access.members.get(subject.nodeId);
  if (!member) return refused('denied', 'Cannot renew: this node was removed');
  const { name, owner } = member;
  return accepted({ ...issued, enrolled: { kind: 'node', nodeId: subject.nodeId, name, owner } });
}

/** Its jobs are given to others at once: it will not be heard any more. */
function removeNode(state: ClusterState, text: string): Verdict {
  const nodeId = findNode(state, text);
  if (typeof nodeId !== 'string') return nodeId;
  const lost: Event[] = [];
  for (const id of state.nodes.get(nodeId)?.attempts ?? []) {
    const attempt = state.attempts.get(id);
    if (!attempt) continue;
    const batch = state.batches.get(attempt.ref.batchId);
    const requeued = attempt.requeueing || (!attempt.cancelling && mayLoseAnother(batch, attempt.ref.index));
    lost.push({ kind: 'attempt-lost', attempt: attempt.ref, message: 'its node was removed', requeued });
  }
  return { kind: 'accepted', events: [...lost, { kind: 'node-removed', nodeId }] };
}

function noNamespace(name: string): Refusal {
  return refused('not-found', `Cannot change the namespace "${name}": nobody has used it yet`);
}

function accepted(...events: readonly AccessEvent[]): Verdict {
  return { kind: 'accepted', events };
}
