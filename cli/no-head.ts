import { strangerCode } from '../base/channel/tls-trouble.ts';
import { Fault } from '../base/errors.ts';

/**
 * That nobody answers at this address, why, and what to do. `plain`: nobody has logged in, and a head that wants a
 * certificate looks like none.
 */
export function noHead(text: string, cause: Fault, plain: boolean): Fault {
  // gRPC wraps the one thing worth telling ("connect ECONNREFUSED …") in two sentences of its own.
  const errno = /connect E[A-Z]+\b/.exec(cause.message)?.[0];
  const orElse = 'or say where the head is with --head or LABRUN_HEAD';
  if (plain && errno === undefined && cause.message.includes('Failed to connect')) {
    return new Fault(
      'no-head',
      `Cannot reach the head at "${text}": you have not logged in there, and what listens there wants that; use "labrun login ${text} --token T" with a token from an admin, ${orElse}`,
      { cause },
    );
  }
  const why = errno ?? reasons[cause.code] ?? cause.message;
  const what = `Cannot reach the head at "${text}": ${why}`;
  // Somebody answers there: to start a head would not help.
  if (cause.code === strangerCode) return new Fault(strangerCode, what, { cause });
  const login = plain ? `, log in with "labrun login ${text} --token T"` : '';
  // A socket that may not be opened is there: its head runs, and is somebody else's.
  if (errno?.endsWith('EACCES'))
    return new Fault(
      'no-head',
      `${what}: that is its own account's socket; log in with a token from an admin, ${orElse}`,
      {
        cause,
      },
    );
  if (cause.code === 'DEADLINE_EXCEEDED')
    return new Fault('no-head', `${what}; it may have too much to do: try again, see its log, ${orElse}`, { cause });
  const next = `start it with "labrun head start"${login}, ${orElse}`;
  return new Fault('no-head', `${what}; ${next}`, { cause });
}

/** What gRPC says of these helps nobody. */
const reasons: Readonly<Record<string, string>> = {
  CANCELLED: 'it ended the call, as one does that is stopped',
  DEADLINE_EXCEEDED: 'no answer came in time',
};
