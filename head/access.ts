import { type Refusal, refused } from '../base/errors.ts';
import type { NodeId } from '../base/ids.ts';
import { nameKey } from '../base/names.ts';
import type { AccessState } from './scheduler/access-state.ts';

/** Who calls, as far as rights go. */
export type Who =
  /** `admin`: they are one, or they are on the head's own socket. */
  | { readonly kind: 'user'; readonly name: string; readonly admin: boolean }
  | { readonly kind: 'node'; readonly nodeId: NodeId }
  /** Has shown no certificate. */
  | { readonly kind: 'nobody' };

/** What somebody can be towards what a call is about. */
export type Role =
  | 'anyone'
  | 'user'
  | 'admin'
  | 'node'
  /** May use the namespace: its owner, those it is shared with, and the first user of a new one. */
  | 'member'
  /** May read the namespace. */
  | 'reader'
  | 'namespace-owner'
  /** Has submitted the job. */
  | 'submitter'
  /** Sits at the node. */
  | 'node-owner'
  /** The attempt is leased to this node, or the blob is an input of one that is. */
  | 'leaseholder';

/** What a call is about, where that matters. */
export interface About {
  readonly namespace?: string;
  readonly node?: NodeId;
  /** Who has submitted the job. */
  readonly submitter?: string;
  /** Whether what a node asks for belongs to an attempt leased to it. */
  readonly leased?: boolean;
}

interface Rule {
  /** Any of these is enough. */
  readonly roles: readonly Role[];
  /** What the caller wanted, as it follows "Cannot". */
  readonly deed: string;
  /** Which right it takes, and who can give it. */
  readonly needs: string;
}

const admins = 'that takes an admin ("labrun token create --user NAME --admin" makes one)';
const agents = 'only an agent that has joined may ("labrun agent join"; an admin makes its token)';
const leases = 'it does not belong to an attempt that is leased to this node; only the head gives leases';
const people =
  'only a user may; log in with "labrun login HEAD:PORT --token T" (an admin makes tokens with "labrun token create --user NAME")';

/** Who may do what. The one table; docs/rights.md shows the same. */
export const rules = {
  enrol: { roles: ['anyone'], deed: 'join', needs: '' },
  renew: {
    roles: ['user', 'node'],
    deed: 'renew a certificate',
    needs: 'only who has a valid certificate may; join or log in anew with a token',
  },
  'who-am-i': { roles: ['user', 'node'], deed: 'say who you are', needs: people },

  'batch.read': {
    roles: ['reader', 'admin'],
    deed: 'read in the namespace "{namespace}"',
    needs: 'it is closed; its owner {owner} can share it ("labrun namespace share {namespace} NAME") or open it',
  },
  'batch.change': {
    roles: ['member', 'admin'],
    deed: 'change what is in the namespace "{namespace}"',
    needs: 'it belongs to {owner}, who can share it ("labrun namespace share {namespace} NAME")',
  },
  'blob.put': {
    roles: ['member', 'admin'],
    deed: 'upload to the namespace "{namespace}"',
    needs: 'it belongs to {owner}, who can share it ("labrun namespace share {namespace} NAME")',
  },
  'cluster.read': { roles: ['user', 'admin'], deed: 'look at the cluster', needs: people },

  'job.shell': {
    roles: ['submitter', 'node-owner'],
    deed: 'open a terminal in that job',
    needs: 'only who submitted it and the owner of its node may',
  },

  'agent.link': { roles: ['node'], deed: 'link as an agent', needs: agents },
  'blob.get': { roles: ['leaseholder', 'reader', 'admin'], deed: 'read an input', needs: leases },
  /** Of which attempts, the fence says with every chunk: an old one is refused as stale. */
  'archive.put': { roles: ['node'], deed: 'send files of an attempt', needs: agents },

  'node.shell': { roles: ['admin'], deed: 'open a terminal on a node', needs: admins },
  'agent.shell': { roles: ['node'], deed: 'bring the other end of a terminal', needs: agents },

  'token.manage': { roles: ['admin'], deed: 'manage join tokens', needs: admins },
  'user.list': { roles: ['admin'], deed: 'list the users', needs: admins },
  'user.remove': { roles: ['admin'], deed: 'remove a user', needs: admins },
  'node.remove': { roles: ['admin'], deed: 'remove a node', needs: admins },
  'node.own': { roles: ['admin'], deed: 'say who owns a node', needs: admins },
  'node.drain': { roles: ['admin'], deed: 'keep jobs from a node, or let it have them', needs: admins },
  'namespace.list': { roles: ['user', 'admin'], deed: 'list the namespaces', needs: people },
  'namespace.change': {
    roles: ['namespace-owner', 'admin'],
    deed: 'share or close the namespace "{namespace}"',
    needs: 'only its owner {owner} and admins may',
  },
  'head.backup': { roles: ['admin'], deed: 'make a backup of the head', needs: admins },
  audit: { roles: ['admin'], deed: 'read the audit', needs: admins },
} as const satisfies Readonly<Record<string, Rule>>;

/** Something that may be allowed or not. */
export type Right = keyof typeof rules;

/** Roles that depend on what a call is about. */
const relative: readonly Role[] = ['submitter', 'member', 'reader', 'namespace-owner', 'node-owner', 'leaseholder'];

/** Whether a right can only be judged knowing what the call is about. */
export function needsAbout(right: Right): boolean {
  return rules[right].roles.some((role) => relative.includes(role));
}

/** Why a caller may not do something, or nothing when they may. */
export function refusal(access: AccessState, who: Who, right: Right, about: About = {}): Refusal | undefined {
  const rule: Rule = rules[right];
  const roles = rolesOf(access, who, about);
  if (rule.roles.some((role) => roles.has(role))) return undefined;
  const namespace = about.namespace ?? '';
  const owner = access.namespaces.get(nameKey(namespace))?.owner ?? 'nobody yet';
  const say = (text: string) => text.replaceAll('{namespace}', namespace).replaceAll('{owner}', `"${owner}"`);
  // A user on a node's ground and the other way round need another kind of certificate, not another right.
  const needs =
    who.kind === 'user' && !rule.roles.some(isForPeople)
      ? agents
      : who.kind === 'node' && rule.roles.every(isForPeople)
        ? people
        : rule.needs;
  return refused('denied', `Cannot ${say(rule.deed)}: ${say(needs)}`);
}

/** Which namespaces a caller may read, for lists of much. */
export function readableBy(access: AccessState, who: Who): (namespace: string) => boolean {
  const known = new Map<string, boolean>();
  return (namespace) => {
    const may = known.get(namespace) ?? refusal(access, who, 'batch.read', { namespace }) === undefined;
    known.set(namespace, may);
    return may;
  };
}

function isForPeople(role: Role): boolean {
  return role !== 'node' && role !== 'leaseholder';
}

/** Everything the caller is towards what the call is about. */
function rolesOf(access: AccessState, who: Who, about: About): ReadonlySet<Role> {
  const roles = new Set<Role>(['anyone']);
  if (who.kind === 'nobody') return roles;
  if (who.kind === 'node') {
    roles.add('node');
    if (about.leased) roles.add('leaseholder');
    return roles;
  }
  roles.add('user');
  if (who.admin) roles.add('admin');
  const key = nameKey(who.name);
  if (about.node !== undefined && nameKey(access.members.get(about.node)?.owner ?? '') === key) roles.add('node-owner');
  if (about.submitter !== undefined && nameKey(about.submitter) === key) roles.add('submitter');
  if (about.namespace === undefined) return roles;
  const namespace = access.namespaces.get(nameKey(about.namespace));
  const owns = namespace !== undefined && nameKey(namespace.owner) === key;
  if (owns) roles.add('namespace-owner');
  if (!namespace || owns || namespace.members.has(key)) roles.add('member').add('reader');
  if (namespace?.readable) roles.add('reader');
  return roles;
}
