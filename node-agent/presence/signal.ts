/**
 * Where a person may sit. A display that one signal can't read is nothing to worry about when another one sees it, so
 * both name the place. A session of logind and an X display are named with the account that has them, as in
 * "session 1000/3" and "display 1000/:0": nobody speaks for another's. `seats`: all screens, keyboards and pointers that
 * belong to this machine; `displays`: X servers that no person's account runs (a greeter's, the machine's own), which
 * logind knows.
 */
export type Place = `session ${number}/${string}` | `display ${number}/${string}` | 'seats' | 'displays';

/** What one signal says. Times are milliseconds since the machine was started (`Clock.sinceBootMs`). */
export type SignalReading =
  /** Somebody acts, from `sinceMs` on and until this signal says otherwise. */
  | { readonly kind: 'active'; readonly sinceMs: number; readonly detail: string }
  /** Nobody has acted since. */
  | { readonly kind: 'idle'; readonly lastActiveMs: number; readonly detail: string }
  /** An inhibitor: a running film or a call counts as a person while it lasts. */
  | { readonly kind: 'busy'; readonly sinceMs: number; readonly what: string }
  /** There is nothing to watch here: no seat, no display, no login. */
  | { readonly kind: 'absent'; readonly why: string }
  /** A person may sit at these places unseen: counts as present while no other signal sees one of them. */
  | { readonly kind: 'unknown'; readonly why: string; readonly places: readonly Place[] }
  /** The signal does not work here; says nothing about anybody. */
  | { readonly kind: 'failed'; readonly why: string };

/** A reading, and the places for which it settles the question. */
export interface Seen {
  readonly reading: SignalReading;
  readonly sees: readonly Place[];
}

/**
 * Takes what a source says now, in place of what it said before; nothing when the source is gone. A signal has one
 * source or several ("logind", "logind session 3").
 */
export type Tell = (source: string, seen: Seen | undefined) => void;

/** One way to notice a person. */
export interface Signal {
  /** The name of its first source. */
  readonly name: string;
  /**
   * Begins to watch. Tells at least once of the source that has its name, within seconds, also when it cannot watch
   * (`failed`) or has nothing to watch (`absent`); never throws. Called once.
   */
  start(tell: Tell): void;
  /** Resolves when it watches no more; tells nothing after it was called. */
  close(): Promise<void>;
}

/** A reading that settles nothing but itself. */
export function seen(reading: SignalReading, ...sees: readonly Place[]): Seen {
  return { reading, sees };
}
