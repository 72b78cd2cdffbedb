import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import { type Bus, connectBus } from '../../node-agent/presence/dbus/connection.ts';
import { Running } from './processes.ts';
import { scratchFolder } from './scratch-folder.ts';

/** A message bus of one test's own. */
export interface MessageBus {
  readonly address: string;
  /** Runs Debian's own Python on it, which has dbusmock; `prints` is the line to wait for. */
  python(script: string, prints: RegExp): Promise<Running>;
  /** A connection for the test itself. */
  connect(): Promise<Bus>;
  stop(): Promise<void>;
}

/** Starts `dbus-daemon` with the rules of a session's bus. */
export async function startMessageBus(): Promise<MessageBus> {
  const address = `unix:path=${join(scratchFolder(), 'bus')}`;
  const daemon = new Running(['dbus-daemon', '--session', '--nofork', '--print-address=1', `--address=${address}`]);
  const stop = async () => void (await daemon.stop());
  onTestFinished(stop);
  await daemon.line(/^unix:/);
  return {
    address,
    async python(script, prints) {
      const env = { ...process.env, DBUS_SESSION_BUS_ADDRESS: address, DBUS_SYSTEM_BUS_ADDRESS: address };
      const running = new Running(['/usr/bin/python3', '-u', '-c', script], { env });
      onTestFinished(async () => void (await running.stop()));
      await running.line(prints);
      return running;
    },
    async connect() {
      const uid = process.getuid?.() ?? 0;
      const bus = await connectBus({ clock: systemClock, address, uid, signal: () => undefined });
      onTestFinished(() => bus.close());
      return bus;
    },
    stop,
  };
}
