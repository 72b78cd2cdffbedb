import { expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { sessionSignals } from '../../../node-agent/presence/session-signals.ts';
import { localDisplay } from '../../../node-agent/presence/x11.ts';
import { Heard } from '../../kit/heard.ts';
import { startMessageBus } from '../../kit/message-bus.ts';
import { itWith } from '../../kit/real-parts.ts';
import { startXServer } from '../../kit/x-server.ts';

const uid = process.getuid?.() ?? 0;

const logind = `
import dbusmock, dbus, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
name = dbus.service.BusName('org.freedesktop.login1', dbus.SessionBus())
user = dbusmock.mockobject.DBusMockObject(name, '/org/freedesktop/login1/user/_${uid}', 'org.freedesktop.login1.User', {
  'Display': dbus.Struct(['c7', dbus.ObjectPath('/org/freedesktop/login1/session/c7')], signature='so')})
print('ready')
GLib.MainLoop().run()
`;

itWith('x11', 'dbusmock')('a helper that belongs to no session asks logind which one has the screen', async () => {
  const [bus, server] = await Promise.all([startMessageBus(), startXServer()]);
  await bus.python(logind, /ready/);
  const env = { DISPLAY: `:${server.number}`, DBUS_SESSION_BUS_ADDRESS: bus.address };
  const signals = await sessionSignals({ env, clock: systemClock, uid, systemBusAddress: bus.address });
  const heard = Heard.of(...signals);
  const { seen } = await heard.kind(`x11 :${server.number}`, 'active');
  expect(seen?.sees).toEqual([`session ${uid}/c7`, `display ${uid}/:${server.number}`, `display 0/:${server.number}`]);
  await heard.kind('mutter', 'absent');
});

it('a helper under Wayland does not take its X display for the whole desk', async () => {
  const env = { DISPLAY: ':0', WAYLAND_DISPLAY: 'wayland-0', XDG_RUNTIME_DIR: '/run/user/1', XDG_SESSION_ID: '5' };
  const signals = await sessionSignals({ env, clock: systemClock, uid });
  const names = ['x11 :0', 'wayland', 'mutter', 'inhibitors (GNOME)', 'inhibitors (KDE)'];
  expect(signals.map(({ name }) => name)).toEqual(names);
  expect(await sessionSignals({ env: { XDG_SESSION_ID: '5' }, clock: systemClock, uid })).toEqual([]);
});

it('a display that ssh forwards is not of this machine', () => {
  expect([':0', ':12.0', 'unix:3', 'localhost:10.0', 'host:0', '', undefined].map(localDisplay)).toEqual([
    '0',
    '12',
    '3',
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
