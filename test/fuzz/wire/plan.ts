import { Chance } from '../chance.ts';
import { mutate } from '../mutate.ts';
import type { FieldShape, MethodShape, Shapes } from './shapes.ts';
import { encodeTree, type Field, type Refs, type Value } from './tree.ts';
import { leafValue, wildValue } from './values.ts';

/** Who calls: the first two by the head's own socket, the others by the network. */
export const callers = ['admin', 'local-node', 'ada', 'eve', 'node', 'other-node', 'nobody'] as const;
export type CallerName = (typeof callers)[number];

/** One call as it is to be made; plain JSON, and the same again in another world. */
export interface Plan {
  readonly path: string;
  readonly caller: CallerName;
  readonly messages: readonly Message[];
  /** What follows the last message: a proper end, silence until the deadline, or a cancellation. */
  readonly end: 'half-close' | 'silence' | 'cancel';
  /** Whether the answers are read. */
  readonly reads: boolean;
  /** Milliseconds after which the caller gives up. */
  readonly deadlineMs: number;
}

/** A message; `noise` is the seed of the changes made to its bytes. */
export interface Message {
  readonly fields: readonly Field[];
  readonly noise?: number;
}

const depthMax = 6;
const messagesMax = 6;

/** The bytes of a message, as they are sent. */
export function bytesOf({ fields, noise }: Message, refs: Refs): Uint8Array {
  const bytes = encodeTree(fields, refs);
  return noise === undefined ? bytes : withNoise(bytes, noise);
}

/** A call of about the right form, mostly of somebody who is let in: `honest` are calls of this method that were. */
export function makePlan(shapes: Shapes, method: MethodShape, honest: readonly Plan[], chance: Chance): Plan {
  const count = method.requestStream ? chance.below(messagesMax) : 1;
  const messages = Array.from({ length: count }, () => noisy(generate(shapes, method.request, chance, 0), chance));
  const caller = honest.length > 0 && chance.below(4) > 0 ? chance.pick(honest).caller : chance.pick(callers);
  return around(method, { path: method.path, caller, messages }, chance);
}

/** A neighbour of a call that has reached something new. */
export function mutatePlan(shapes: Shapes, method: MethodShape, plan: Plan, chance: Chance): Plan {
  const messages = [...plan.messages];
  for (let steps = 1 + chance.below(3); steps > 0; steps--) {
    const at = chance.below(messages.length);
    const message = messages[at];
    const kind = chance.below(8);
    if (!message || (method.requestStream && kind === 0)) {
      if (method.requestStream) messages.push({ fields: generate(shapes, method.request, chance, 0) });
    } else if (method.requestStream && kind === 1) messages.splice(at, 1);
    else if (method.requestStream && kind === 2) messages.splice(chance.below(messages.length), 0, message);
    else messages[at] = noisy(changed(shapes, method.request, message.fields, chance), chance);
  }
  const caller = chance.below(6) === 0 ? chance.pick(callers) : plan.caller;
  return around(method, { path: plan.path, caller, messages: messages.slice(0, 4 * messagesMax) }, chance);
}

function around(method: MethodShape, plan: Pick<Plan, 'path' | 'caller' | 'messages'>, chance: Chance): Plan {
  const streams = method.requestStream || method.responseStream;
  const end = chance.below(4) > 0 ? 'half-close' : chance.pick(['half-close', 'silence', 'cancel'] as const);
  return {
    ...plan,
    end: method.requestStream || chance.below(8) === 0 ? end : 'half-close',
    reads: !method.responseStream || chance.below(8) > 0,
    deadlineMs: streams ? 150 + chance.below(150) : 5_000,
  };
}

function noisy(fields: readonly Field[], chance: Chance): Message {
  return chance.below(6) === 0 ? { fields, noise: chance.below(2 ** 31) } : { fields };
}

function withNoise(bytes: Uint8Array, noise: number): Uint8Array {
  // A chance of its own: the noise stays the same whatever was drawn before.
  return mutate(bytes, [], new Chance(noise));
}

function generate(shapes: Shapes, message: string, chance: Chance, depth: number): Field[] {
  const shape = shapes.messages.get(message) ?? [];
  const chosen = new Map<number, FieldShape>();
  for (const field of shape) {
    if (field.oneof !== undefined && (!chosen.has(field.oneof) || chance.below(2) === 0))
      chosen.set(field.oneof, field);
  }
  const fields: Field[] = [];
  for (const field of shape) {
    if (field.oneof !== undefined && chosen.get(field.oneof) !== field && chance.below(10) > 0) continue;
    if (chance.below(8) === 0 || depth > depthMax) continue;
    for (let count = field.repeated ? chance.below(4) : 1; count > 0; count--) {
      fields.push({ at: field.at, value: valueFor(shapes, field, chance, depth) });
    }
  }
  return fields;
}

function valueFor(shapes: Shapes, field: FieldShape, chance: Chance, depth: number): Value {
  if (field.message) return { fields: generate(shapes, field.message, chance, depth + 1) };
  return leafValue(field, chance);
}

/** The same message with one field, somewhere in it, made anew, dropped, doubled or of another kind. */
function changed(shapes: Shapes, message: string, fields: readonly Field[], chance: Chance): Field[] {
  const shape = shapes.messages.get(message) ?? [];
  const at = chance.below(fields.length);
  const field = fields[at];
  const known = shape.find((one) => one.at === field?.at);
  if (!field || !known || chance.below(8) === 0) {
    const fresh = shape.length > 0 ? chance.pick(shape) : undefined;
    return fresh ? [...fields, { at: fresh.at, value: valueFor(shapes, fresh, chance, 0) }] : [...fields];
  }
  const replaced = (by: readonly Field[]) => [...fields.slice(0, at), ...by, ...fields.slice(at + 1)];
  if ('fields' in field.value && known.message && chance.below(5) > 0) {
    return replaced([{ at: field.at, value: { fields: changed(shapes, known.message, field.value.fields, chance) } }]);
  }
  switch (chance.below(12)) {
    case 0:
      return replaced([]);
    case 1:
      return replaced([field, field]);
    case 2:
      return replaced([{ at: field.at, value: wildValue(chance) }]);
    case 3:
      return chance.below(8) > 0 ? replaced([field]) : replaced([{ ...field, times: 10 ** (1 + chance.below(5)) }]);
    default:
      return replaced([{ at: field.at, value: valueFor(shapes, known, chance, 1) }]);
  }
}
