import { expect } from 'vitest';
import { type Clock, systemClock } from '../../../base/clock.ts';
import { logindSessions } from '../../../node-agent/presence/logind.ts';
import { Heard } from '../../kit/heard.ts';
import { startMessageBus } from '../../kit/message-bus.ts';
import { itWith } from '../../kit/real-parts.ts';

/** A logind with one desktop; `Act` makes it say nothing of sessions any more ("hang") or that they have gone ("end"). */
const logind = `
import dbus, dbus.service, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
name = dbus.service.BusName('org.freedesktop.login1', bus)
path = '/org/freedesktop/login1/session/_31'
state = 'fine'
class Manager(dbus.service.Object):
    @dbus.service.method('org.freedesktop.login1.Manager', out_signature='a(susso)')
    def ListSessions(self):
        return [('1', 1000, 'ada', 'seat0', path)]
    @dbus.service.signal('org.freedesktop.login1.Manager', signature='so')
    def SessionNew(self, id, path):
        pass
    @dbus.service.method('test.Logind', in_signature='s')
    def Act(self, to):
        global state
        state = to
        self.SessionNew('1', path)
class Session(dbus.service.Object):
    @dbus.service.method('org.freedesktop.DBus.Properties', in_signature='s', out_signature='a{sv}', async_callbacks=('answer', 'fail'))
    def GetAll(self, interface, answer, fail):
        if state == 'end': fail(dbus.exceptions.DBusException('it has gone', name='org.freedesktop.DBus.Error.UnknownObject'))
        if state == 'fine': answer(dbus.Dictionary({'Id': '1', 'Name': 'ada', 'Class': 'user', 'Type': 'wayland', 'State': 'active'}, signature='sv'))
Manager(bus, '/org/freedesktop/login1')
Session(bus, path)
print('ready')
GLib.MainLoop().run()
`;

/** The machine's clock, on which nobody is waited for as long. */
const hasty: Clock = {
  ...systemClock,
  setTimer: (delayMs, task) => systemClock.setTimer(delayMs / 10, task),
};

itWith('dbusmock')(
  'a session that a slow logind says nothing of is still there; one that has gone is not',
  async () => {
    const bus = await startMessageBus();
    await bus.python(logind, /ready/);
    const uid = process.getuid?.() ?? 0;
    const heard = Heard.of(
      logindSessions({ clock: hasty, wallMs: () => systemClock.nowMs(), uid, busAddress: bus.address }),
    );
    const session = 'logind session 1';
    await heard.kind(session, 'unknown');
    const control = await bus.connect();
    const manager = {
      destination: 'org.freedesktop.login1',
      path: '/org/freedesktop/login1',
      interface: 'test.Logind',
    };
    const act = (to: string) => control.call({ ...manager, member: 'Act', signature: 's', args: [to] });
    const before = heard.said.length;
    await act('hang');
    await heard.kind('logind', 'failed', before);
    expect(heard.now(session)?.kind).toBe('unknown');
    await act('end');
    await heard.kind(session, 'gone', before);
  },
);
