import type { Clock } from '../../base/clock.ts';
import { connectBus } from './dbus/connection.ts';

export interface NotifyOptions {
  readonly clock: Clock;
  readonly uid: number;
  /** The session's bus. */
  readonly busAddress: string;
}

const service = 'org.freedesktop.Notifications';
const place = { destination: service, path: '/org/freedesktop/Notifications', interface: service };
/** How long it stays is up to the desktop. */
const usualMs = -1;

/** Shows a line on the desktop. Rejects with `Fault` when there is no bus, or nobody on it who shows such things. */
export async function notify({ clock, uid, busAddress: address }: NotifyOptions, text: string): Promise<void> {
  const bus = await connectBus({ clock, uid, address, signal: () => undefined });
  try {
    // The line is the summary: what a body says may be taken for markup.
    const args = ['labrun', 0, '', text, '', [], [], usualMs] as const;
    await bus.call({ ...place, member: 'Notify', signature: 'susssasa{sv}i', args });
  } finally {
    bus.close();
  }
}
