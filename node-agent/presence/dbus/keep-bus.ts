import type { Clock } from '../../../base/clock.ts';
import { keepConnected } from '../keep-connected.ts';
import { type Bus, connectBus } from './connection.ts';
import type { DBusMessage } from './message.ts';

/** A bus that is connected again when it was lost. */
export interface KeepBusOptions {
  readonly clock: Clock;
  /** As in `DBUS_SESSION_BUS_ADDRESS`. */
  readonly address: string;
  readonly uid: number;
  /** Called on each connection. What it throws ends that one, and is what `lost` hears. */
  readonly opened: (bus: Bus) => Promise<void>;
  readonly signal: (message: DBusMessage) => void;
  /** Why there is no bus now; it is tried again. */
  readonly lost: (why: string) => void;
}

/** Connects, and connects again; `close` ends it. */
export function keepBus(options: KeepBusOptions): { close(): Promise<void> } {
  return keepConnected(options.clock, (signal) => live(options, signal), options.lost);
}

/** Whether `lost` heard that there is no bus here, or not the service asked for: on many machines that is as it should be. */
export function isMissing(why: string): boolean {
  return /ENOENT|ECONNREFUSED|DBus\.Error\.(ServiceUnknown|NameHasNoOwner|Spawn)/.test(why);
}

async function live(options: KeepBusOptions, signal: AbortSignal): Promise<string> {
  const bus = await connectBus(options);
  const end = () => bus.close();
  signal.addEventListener('abort', end, { once: true });
  try {
    if (signal.aborted) return 'closed here';
    await options.opened(bus);
    return await bus.closed;
  } finally {
    signal.removeEventListener('abort', end);
    bus.close();
  }
}
