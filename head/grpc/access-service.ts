import { orThrow } from '../../base/channel/answer.ts';
import type { Clock } from '../../base/clock.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import { asNodeId, type ClusterId } from '../../base/ids.ts';
import { nameKey, nameProblem } from '../../base/names.ts';
import type { Subject } from '../../base/pki/subject.ts';
import { formatToken, newToken, secretHash, secretMatches } from '../../base/pki/token.ts';
import type { Random } from '../../base/random.ts';
import type {
  AccessServer,
  EnrolRequest,
  EnrolResponse,
  RenewRequest,
  WhoAmIResponse,
} from '../../proto/gen/labrun/v1/access.ts';
import type { OpenAuthority } from '../authority.ts';
import type { HeadEngine } from '../ports.ts';
import type { AccessCommand } from '../scheduler/access-command.ts';
import type { Enrolled } from '../scheduler/access-event.ts';
import type { Token } from '../scheduler/access-state.ts';
import type { Actor } from '../scheduler/actor.ts';
import { usableToken } from '../scheduler/decide-access.ts';
import type { Usage } from '../usage.ts';
import { actorOf, writeActor } from '../wire.ts';
import { viewNamespaces, viewToken, viewTokens, viewUsers } from './access-views.ts';
import type { AttemptLimit } from './attempt-limit.ts';
import { type AuditPorts, audit } from './audit.ts';
import type { Door } from './door.ts';
import { type CallFacts, serverStream, unary } from './handle.ts';

/** What the access door needs. */
export interface AccessPorts extends AuditPorts {
  readonly engine: HeadEngine;
  readonly authority: OpenAuthority;
  readonly enrolLimit: AttemptLimit;
  readonly clusterId: ClusterId;
  readonly clock: Clock;
  readonly random: Random;
  readonly usage: Usage;
  /** Where other machines find this head; empty when none can. */
  readonly advertised: () => string;
}

/** Life of a token that says nothing else, in milliseconds. */
const tokenLifeMs = 3_600_000;

/** Who belongs to the cluster. */
export function accessService(ports: AccessPorts, door: Door): AccessServer {
  const { engine } = ports;
  const change = async (caller: CallFacts['caller'], command: AccessCommand, said: string) => {
    const verdict = orThrow(await engine.submit(actorOf(caller), command));
    return { message: verdict.kind === 'accepted' && verdict.events.length > 0 ? said : '' };
  };
  return {
    enrol: unary(door, 'enrol', (request, facts) => enrol(ports, request, facts)),
    renew: unary(door, 'renew', (request, facts) => renew(ports, request, facts)),
    whoAmI: unary(door, 'who-am-i', (_request, facts) => whoAmI(ports, facts)),
    createToken: unary(door, 'token.manage', async (request, { caller }) => {
      const { node, userName, admin, owner } = request;
      if (node === (userName !== '')) {
        throw new RefusedError(
          refused('invalid', 'Cannot make a token: say whether it is for a node or for which user'),
        );
      }
      const token = newToken(ports.authority.fingerprint, ports.random);
      const command: AccessCommand = {
        kind: 'create-token',
        tokenId: token.id,
        secretHash: secretHash(token.secret),
        use: node ? { kind: 'node', owner } : { kind: 'user', name: userName, admin },
        uses: request.uses || 1,
        lifeMs: Number(request.expiresMs) || tokenLifeMs,
      };
      orThrow(await engine.submit(actorOf(caller), command));
      const kept = await engine.query(({ access }) => access.tokens.get(token.id));
      return { token: formatToken(token), view: kept && viewToken(kept), head: ports.advertised() };
    }),
    listTokens: unary(door, 'token.manage', async () => {
      const nowMs = ports.clock.nowMs();
      return { tokens: await engine.query(({ access }) => viewTokens(access, nowMs)) };
    }),
    revokeToken: unary(door, 'token.manage', ({ id }, { caller }) =>
      change(caller, { kind: 'revoke-token', id }, `The token ${id} lets nobody in any more`),
    ),
    listUsers: unary(door, 'user.list', async () => {
      const nowMs = ports.clock.nowMs();
      return { users: await engine.query(({ access }) => viewUsers(access, nowMs)) };
    }),
    removeUser: unary(door, 'user.remove', ({ name }, { caller }) =>
      change(caller, { kind: 'remove-user', name }, `"${name}" is no longer a user; batches and results stay`),
    ),
    removeNode: unary(door, 'node.remove', ({ node }, { caller }) =>
      change(caller, { kind: 'remove-node', node }, `"${node}" is no longer a node; its jobs wait again`),
    ),
    setNodeOwner: unary(door, 'node.own', ({ node, owner }, { caller }) =>
      change(
        caller,
        { kind: 'own-node', node, owner },
        `"${node}" belongs to ${owner === '' ? 'nobody' : `"${owner}"`}`,
      ),
    ),
    listNamespaces: unary(door, 'namespace.list', async (_request, { pass }) => ({
      namespaces: await engine.query(({ access }) => viewNamespaces(access, pass.who, ports.usage)),
    })),
    shareNamespace: unary(door, 'namespace.change', async ({ namespace, user, shared }, { caller, pass }) => {
      await pass.about({ namespace });
      const said = `"${user}" ${shared ? 'may use' : 'may no longer use'} "${namespace}"`;
      return await change(caller, { kind: 'share-namespace', namespace, user, shared }, said);
    }),
    setNamespace: unary(door, 'namespace.change', async ({ namespace, readable }, { caller, pass }) => {
      await pass.about({ namespace });
      const said = `"${namespace}" may be read by ${readable ? 'every user' : 'its owner and members alone'}`;
      return await change(caller, { kind: 'open-namespace', namespace, readable }, said);
    }),
    audit: serverStream(door, 'audit', (request) => audit(ports, request)),
  };
}

/** The only thing a stranger may ask. What was wrong with a secret is not told apart, and costs them time. */
async function enrol(ports: AccessPorts, request: EnrolRequest, { pass }: CallFacts): Promise<EnrolResponse> {
  const { enrolLimit, engine, clock } = ports;
  const waitMs = enrolLimit.waitMs(pass.remoteAddress);
  if (waitMs > 0) {
    throw new RefusedError(
      refused(
        'busy',
        `Cannot let you in: too many tries failed from your address; try again in ${Math.ceil(waitMs / 1000)} s`,
      ),
    );
  }
  try {
    const nowMs = clock.nowMs();
    const token = orThrow(await engine.query((state) => usableToken(state, request.tokenId, nowMs)));
    if (!secretMatches(request.secret, token.secretHash)) {
      throw new RefusedError(
        refused('denied', 'Cannot let you in: this is not a token of this head; copy it once more'),
      );
    }
    const enrolled = enrolledBy(token, request);
    const issued = await issueFor(ports, request.requestPem, subjectOf(ports.clusterId, enrolled));
    const { serial, notAfterMs } = issued;
    const actor: Actor = { kind: enrolled.kind, name: enrolled.name };
    orThrow(await engine.submit(actor, { kind: 'enrol', tokenId: token.id, enrolled, serial, notAfterMs }));
    return response(ports, issued, enrolled);
  } catch (error) {
    if (error instanceof RefusedError) enrolLimit.failed(pass.remoteAddress);
    throw error;
  }
}

function enrolledBy({ use }: Token, request: EnrolRequest): Enrolled {
  if (use.kind === 'user') return { kind: 'user', name: use.name, admin: use.admin };
  const nodeId = asNodeId(request.nodeId);
  const problem = nameProblem(request.nodeName);
  const owner = use.owner || request.owner;
  const ownerProblem = owner === '' ? undefined : nameProblem(owner);
  if (!nodeId) {
    throw new RefusedError(
      refused(
        'invalid',
        'Cannot let you in: this token is for a workstation; use "labrun agent join", or ask for one for a user',
      ),
    );
  }
  if (problem)
    throw new RefusedError(
      refused('invalid', `Cannot join as "${request.nodeName}": the name ${problem}; give --name`),
    );
  if (ownerProblem) throw new RefusedError(refused('invalid', `Cannot join for "${owner}": the name ${ownerProblem}`));
  return { kind: 'node', nodeId, name: request.nodeName, owner };
}

async function renew(ports: AccessPorts, request: RenewRequest, { pass, caller }: CallFacts): Promise<EnrolResponse> {
  const { who } = pass;
  const subject = pass.certificate?.subject;
  if (who.kind === 'nobody' || !subject || subject.kind === 'head') {
    throw new RefusedError(
      refused('invalid', 'Cannot renew: this call comes without a certificate, and needs none here'),
    );
  }
  const issued = await issueFor(ports, request.requestPem, subject);
  const { serial, notAfterMs } = issued;
  const whom =
    subject.kind === 'user'
      ? { kind: 'user' as const, name: subject.name }
      : { kind: 'node' as const, nodeId: subject.nodeId };
  orThrow(await ports.engine.submit(actorOf(caller), { kind: 'renew', subject: whom, serial, notAfterMs }));
  const admin = who.kind === 'user' && who.admin;
  return response(ports, issued, subject.kind === 'user' ? { kind: 'user', name: subject.name, admin } : undefined);
}

async function issueFor(ports: AccessPorts, requestPem: string, subject: Subject) {
  const issued = await ports.authority.issue(requestPem, subject);
  if (!issued)
    throw new RefusedError(refused('invalid', 'Cannot certify: that is no certificate request for a P-256 key'));
  return issued;
}

function subjectOf(clusterId: ClusterId, enrolled: Enrolled): Subject {
  return enrolled.kind === 'user'
    ? { kind: 'user', clusterId, name: enrolled.name }
    : { kind: 'node', clusterId, nodeId: enrolled.nodeId };
}

function response(
  { authority, clusterId }: AccessPorts,
  { certificatePem, notAfterMs }: { readonly certificatePem: string; readonly notAfterMs: number },
  enrolled: Enrolled | undefined,
): EnrolResponse {
  return {
    certificatePem,
    authorityPem: authority.certificatePem,
    clusterId,
    userName: enrolled?.kind === 'user' ? enrolled.name : '',
    admin: enrolled?.kind === 'user' && enrolled.admin,
    expiresAtMs: BigInt(notAfterMs),
  };
}

async function whoAmI({ engine, clusterId }: AccessPorts, { caller, pass }: CallFacts): Promise<WhoAmIResponse> {
  const ownedNodes = await engine.query(({ access }) =>
    [...access.members.values()].filter(({ owner }) => nameKey(owner) === nameKey(caller.name)).map(({ name }) => name),
  );
  return {
    actor: writeActor(actorOf(caller)),
    admin: pass.who.kind === 'user' && pass.who.admin,
    local: pass.certificate === undefined,
    clusterId,
    expiresAtMs: BigInt(pass.certificate?.notAfterMs ?? 0),
    ownedNodes: caller.kind === 'user' ? ownedNodes : [],
  };
}
