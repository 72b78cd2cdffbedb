import type { Metadata } from '@grpc/grpc-js';
import { assert } from '../../base/assert.ts';
import { type Caller, callerOf } from '../../base/channel/caller.ts';
import { type CallKind, Crowd } from '../../base/channel/crowd.ts';
import type { Peer } from '../../base/channel/tls-listener.ts';
import type { Clock } from '../../base/clock.ts';
import { type Refusal, RefusedError, refused } from '../../base/errors.ts';
import type { ClusterId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import { nameKey } from '../../base/names.ts';
import type { Certificate } from '../../base/pki/certificate.ts';
import { type About, needsAbout, type Right, refusal, type Who } from '../access.ts';
import type { HeadEngine } from '../ports.ts';
import type { AccessState } from '../scheduler/access-state.ts';
import { callLimits } from './call-limits.ts';

/** What a door looks at of a call. */
export interface Knock {
  readonly metadata: Metadata;
  getPeer(): string;
}

/** Where callers come in: knows who they are, and lets nobody do what they may not. */
export interface Door {
  readonly log: Log;
  readonly clock: Clock;
  /** Lets a call in. Throws `RefusedError` with what is missing and who can give it. */
  enter(knock: Knock, right: Right, kind: CallKind): Promise<Pass>;
}

/** A call that was let in. */
export interface Pass {
  readonly who: Who;
  readonly caller: Caller;
  /** Where the call comes from; empty on the head's own socket. */
  readonly remoteAddress: string;
  /** Of the caller's certificate; nothing on the head's own socket, and for who has none. */
  readonly certificate: Certificate | undefined;
  /** Says what the call is about, before anything is done about it. Throws `RefusedError`. */
  about(about: About): Promise<void>;
  /** To be called before the first answer: a method that never said what it is about would be open to all. */
  assertChecked(): void;
  /** The call has ended. */
  leave(): void;
}

/** What doors need. */
export interface DoorPorts {
  readonly engine: Pick<HeadEngine, 'query'>;
  readonly log: Log;
  readonly clock: Clock;
}

/** The head's own socket, or the loopback in plain text: whoever can open it is trusted, and names themselves. */
export function localDoor(ports: DoorPorts): Door {
  return door(ports, (knock) => {
    const caller = callerOf(knock.metadata);
    if ('code' in caller) return caller;
    return { caller, certificate: undefined, remoteAddress: '', local: true };
  });
}

/** The network: callers are whom their certificate names. */
export function tlsDoor(ports: DoorPorts, clusterId: ClusterId, peerOf: (peer: string) => Peer | undefined): Door {
  return door(ports, (knock) => {
    const peer = peerOf(knock.getPeer());
    if (!peer) return refused('denied', 'Cannot take the call: its connection is gone');
    if (peer.problem !== undefined) return badCertificate(peer.problem);
    const { certificate, remoteAddress } = peer;
    if (!certificate) return { caller: undefined, certificate, remoteAddress, local: false };
    const { subject } = certificate;
    if (subject.clusterId !== clusterId || subject.kind === 'head') return badCertificate('another cluster');
    const caller: Caller =
      subject.kind === 'node' ? { kind: 'node', name: subject.nodeId } : { kind: 'user', name: subject.name };
    return { caller, certificate, remoteAddress, local: false };
  });
}

/** Whether a certificate is still good: removals take it away at once. */
export function isValid(access: AccessState, { subject, serial }: Certificate): boolean {
  if (subject.kind === 'user') return access.users.get(nameKey(subject.name))?.certificates.has(serial) ?? false;
  return subject.kind === 'node' && (access.members.get(subject.nodeId)?.certificates.has(serial) ?? false);
}

interface Visitor {
  /** Nothing without a certificate. */
  readonly caller: Caller | undefined;
  readonly certificate: Certificate | undefined;
  readonly remoteAddress: string;
  readonly local: boolean;
}

function door(ports: DoorPorts, look: (knock: Knock) => Visitor | Refusal): Door {
  const crowd = new Crowd(callLimits, 'the head');
  return {
    log: ports.log,
    clock: ports.clock,
    async enter(knock, right, kind) {
      const visitor = look(knock);
      if ('code' in visitor) throw new RefusedError(visitor);
      // The first that is asked for a call: while too many wait, no more are let in.
      const who = await ports.engine.query(({ access }) => whoIs(access, visitor), 'refuse');
      if ('code' in who) throw new RefusedError(who);
      const entered = await pass(ports, visitor, who, right);
      const leave = crowd.enter(crowdKey(visitor), kind);
      if (typeof leave !== 'function') throw new RefusedError(leave);
      return { ...entered, leave };
    },
  };
}

/** Strangers are told apart by where they come from. */
function crowdKey({ caller, remoteAddress }: Visitor): string {
  return caller ? `${caller.kind} ${nameKey(caller.name)}` : `nobody at ${remoteAddress}`;
}

async function pass(ports: DoorPorts, visitor: Visitor, who: Who, right: Right): Promise<Omit<Pass, 'leave'>> {
  const judge = (about: About) => ports.engine.query(({ access }) => refusal(access, who, right, about));
  let checked = !needsAbout(right);
  if (checked) {
    const no = await judge({});
    if (no) throw new RefusedError(who.kind === 'nobody' ? noCertificate : no);
  } else if (who.kind === 'nobody') throw new RefusedError(noCertificate);
  return {
    who,
    caller: visitor.caller ?? { kind: 'user', name: 'nobody' },
    remoteAddress: visitor.remoteAddress,
    certificate: visitor.certificate,
    async about(about) {
      const no = await judge(about);
      if (no) throw new RefusedError(no);
      checked = true;
    },
    assertChecked: () => assert(checked, `a call that takes the right "${right}" says what it is about`),
  };
}

function whoIs(access: AccessState, { caller, certificate, local }: Visitor): Who | Refusal {
  if (!caller) return { kind: 'nobody' };
  if (certificate && !isValid(access, certificate)) return removed;
  if (caller.kind === 'node') {
    // A local agent names itself; the id was checked where it was read.
    return { kind: 'node', nodeId: caller.name as Extract<Who, { kind: 'node' }>['nodeId'] };
  }
  const admin = local || access.users.get(nameKey(caller.name))?.admin === true;
  return { kind: 'user', name: caller.name, admin };
}

function badCertificate(problem: string): Refusal {
  if (problem === 'CERT_HAS_EXPIRED') {
    return refused(
      'denied',
      'Cannot take the call: your certificate has expired; ask an admin for a new token and join or log in again',
    );
  }
  if (problem === 'CERT_NOT_YET_VALID') {
    return refused(
      'denied',
      "Cannot take the call: your certificate is not valid yet by the head's clock; compare both machines' clocks, nothing else is to be done",
    );
  }
  return refused(
    'denied',
    `Cannot take the call: your certificate was not made by this cluster (${problem}); log in here with "labrun login", or join with "labrun agent join"`,
  );
}

const noCertificate = refused(
  'denied',
  'Cannot take the call: it comes without a certificate; an admin makes a token with "labrun token create", then people use "labrun login HEAD:PORT --token T" and workstations "labrun agent join HEAD:PORT --token T"',
);

const removed = refused(
  'denied',
  'Cannot take the call: your certificate is no longer valid, you or this node were removed; ask an admin for a new token',
);
