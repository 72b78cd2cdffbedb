import type { MessageBus } from './message-bus.ts';
import type { Running } from './processes.ts';

const script = `
import dbusmock, dbus, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
name = dbus.service.BusName('org.freedesktop.Notifications', bus)
mock = dbusmock.mockobject.DBusMockObject(name, '/org/freedesktop/Notifications', 'org.freedesktop.Notifications', {})
mock.AddMethod('', 'Notify', 'susssasa{sv}i', 'u', 'print("shown", *map(str, args)); ret = dbus.UInt32(7)')
print('ready')
GLib.MainLoop().run()
`;

/** What shows notices on a desktop; it prints `shown` and all that it was given. */
export function startNotificationDaemon(bus: MessageBus): Promise<Running> {
  return bus.python(script, /ready/);
}
