import type { Bus } from '../../node-agent/presence/dbus/connection.ts';
import type { MessageBus } from './message-bus.ts';
import type { Running } from './processes.ts';

/** The number of the first watch for idle time that the mock gives; the first for activity is 21, the next 22. */
export const idleWatch = 7;
export const firstActiveWatch = 21;

/** Starts Mutter as its interface describes it: numbers for watches, one signal for all of them. */
export function startMutter(bus: MessageBus, idleMs: number): Promise<Running> {
  return bus.python(mutterScript(idleMs), /ready/);
}

/** Makes the mock send what Mutter sends when a watch fires. */
export async function fireMutter(bus: Bus, watch: number): Promise<void> {
  const path = '/org/gnome/Mutter/IdleMonitor/Core';
  const control = { destination: 'org.gnome.Mutter.IdleMonitor', path, interface: 'org.freedesktop.DBus.Mock' };
  const code = `self.EmitSignal('org.gnome.Mutter.IdleMonitor', 'WatchFired', 'u', [dbus.UInt32(${watch})])`;
  const args = [control.destination, 'Fire', '', '', code];
  await bus.call({ ...control, member: 'AddMethod', signature: 'sssss', args });
  await bus.call({ ...control, interface: control.destination, member: 'Fire' });
}

/** A program for Debian's own Python; it prints "ready". `idleMs`: for how long nobody has acted when it starts. */
export function mutterScript(idleMs: number): string {
  return `
import dbusmock, dbus, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
name = dbus.service.BusName('org.gnome.Mutter.IdleMonitor', bus)
core = dbusmock.mockobject.DBusMockObject(name, '/org/gnome/Mutter/IdleMonitor/Core', 'org.gnome.Mutter.IdleMonitor', {})
core.AddMethods('org.gnome.Mutter.IdleMonitor', [
  ('GetIdletime', '', 't', 'ret = dbus.UInt64(${idleMs})'),
  ('AddIdleWatch', 't', 'u', 'ret = ${idleWatch}'),
  ('AddUserActiveWatch', '', 'u', 'self.watch = getattr(self, "watch", ${firstActiveWatch - 1}) + 1; ret = self.watch'),
])
print('ready')
GLib.MainLoop().run()
`;
}
