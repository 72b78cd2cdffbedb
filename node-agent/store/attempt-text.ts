import { Fault } from '../../base/errors.ts';
import type { Attempt, Phase } from '../attempts/attempt.ts';
import { fullPace } from '../attempts/pace.ts';

/** The layout of a recorded attempt. A newer one is refused: an old agent must not guess at results. */
const version = 1;

/**
 * An attempt as the record keeps it. Phases between the assignment and the end are not told apart: what really runs is
 * asked of the executor after a restart.
 */
export function writeAttempt(attempt: Attempt): string {
  return JSON.stringify({ version, ...attempt, phase: durablePhase(attempt.phase) }, bytesToText);
}

/** Reads what `writeAttempt` wrote. Throws a `Fault` that names the key when the text is not ours. */
export function readAttempt(key: string, text: string): Attempt {
  let value: unknown;
  try {
    value = JSON.parse(text, textToBytes);
  } catch (error) {
    throw damaged(key, error);
  }
  if (typeof value !== 'object' || value === null || !('version' in value)) throw damaged(key, undefined);
  const { version: written, ...attempt } = value;
  if (written !== version) {
    throw new Fault(
      'unsupported',
      `Cannot read the agent's record of "${key}": a newer labrun wrote it; install that labrun again, jobs go on meanwhile`,
    );
  }
  if (!('phase' in attempt) || !('assignment' in attempt) || !('id' in attempt)) throw damaged(key, undefined);
  return { stop: undefined, pace: fullPace, ...attempt } as Attempt; // written by writeAttempt of this version, into a checked database
}

function durablePhase(phase: Phase): Phase {
  switch (phase.kind) {
    case 'staging':
    case 'building':
    case 'starting':
    case 'running':
    case 'archiving':
      return { kind: 'assigned' };
    default:
      return phase;
  }
}

function damaged(key: string, cause: unknown): Fault {
  return new Fault(
    'damaged',
    `Cannot read the agent's record of "${key}": it is damaged; move the data directory aside and start anew, its attempts/ still hold what was not sent`,
    { cause },
  );
}

const bytesTag = 'base64:';

function bytesToText(this: unknown, key: string, value: unknown): unknown {
  // Buffers come here already turned to objects by their own toJSON, so the original is looked up.
  const original = typeof this === 'object' && this !== null ? Reflect.get(this, key) : value;
  if (original instanceof Uint8Array) return `${bytesTag}${Buffer.from(original).toString('base64')}`;
  return value;
}

/** Only `manifest` and `data` ever hold bytes; a message of a person may start like our tag. */
function textToBytes(key: string, value: unknown): unknown {
  if ((key === 'manifest' || key === 'data') && typeof value === 'string' && value.startsWith(bytesTag)) {
    return new Uint8Array(Buffer.from(value.slice(bytesTag.length), 'base64'));
  }
  return value;
}
