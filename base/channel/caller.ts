import { Metadata } from '@grpc/grpc-js';
import { type Refusal, refused } from '../errors.ts';
import { nameProblem } from '../names.ts';

/** Who makes a call. Until certificates say so, callers name themselves; only loopback and sockets can reach us. */
export interface Caller {
  readonly kind: 'user' | 'node';
  /** A user's name, or a node's id. */
  readonly name: string;
}

const kindKey = 'labrun-caller-kind';
const nameKey = 'labrun-caller-name';

/** The metadata every call carries. */
export function callerMetadata(caller: Caller): Metadata {
  const metadata = new Metadata();
  metadata.set(kindKey, caller.kind);
  metadata.set(nameKey, caller.name);
  return metadata;
}

/** Who made a call, or why that cannot be told. */
export function callerOf(metadata: Metadata): Caller | Refusal {
  const [kind] = metadata.get(kindKey);
  const [name] = metadata.get(nameKey);
  if ((kind !== 'user' && kind !== 'node') || typeof name !== 'string') {
    return refused('denied', 'Cannot take the call: it does not say who makes it; use a labrun client');
  }
  const problem = nameProblem(name);
  return problem ? refused('denied', `Cannot take the call: the caller's name ${problem}`) : { kind, name };
}
