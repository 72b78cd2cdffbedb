import { expect } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import type { Bus } from '../../../node-agent/presence/dbus/connection.ts';
import { mutterIdle } from '../../../node-agent/presence/mutter.ts';
import { Heard } from '../../kit/heard.ts';
import { type MessageBus, startMessageBus } from '../../kit/message-bus.ts';
import { itWith } from '../../kit/real-parts.ts';

/** Mutter as its interface describes it: numbers for watches, one signal for all of them. */
const mutter = `
import dbusmock, dbus, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
name = dbus.service.BusName('org.gnome.Mutter.IdleMonitor', bus)
core = dbusmock.mockobject.DBusMockObject(name, '/org/gnome/Mutter/IdleMonitor/Core', 'org.gnome.Mutter.IdleMonitor', {})
core.AddMethods('org.gnome.Mutter.IdleMonitor', [
  ('GetIdletime', '', 't', 'ret = dbus.UInt64(IDLE)'),
  ('AddIdleWatch', 't', 'u', 'ret = 7'),
  ('AddUserActiveWatch', '', 'u', 'self.watch = getattr(self, "watch", 20) + 1; ret = self.watch'),
])
print('ready')
GLib.MainLoop().run()
`;

itWith('dbusmock')('GNOME tells at once that somebody acts again, and what nobody did in between', async () => {
  const bus = await startMessageBus();
  await bus.python(mutter.replace('IDLE', '60000'), /ready/);
  const heard = Heard.of(signalOn(bus));
  const control = await bus.connect();
  const { seen: idle, atMs } = await heard.kind('mutter', 'idle');
  expect(idle).toMatchObject({ sees: ['session 1000/2'] });
  expect(idle?.reading.kind === 'idle' && atMs - idle.reading.lastActiveMs).toBeCloseTo(60_000, -2);

  // Each round has a new watch: the old one has fired.
  for (const watch of [21, 22]) {
    const since = heard.said.length;
    const beganMs = systemClock.sinceBootMs();
    await fire(control, watch);
    expect((await heard.kind('mutter', 'active', since)).atMs - beganMs).toBeLessThan(500);
    await fire(control, 7);
    const { seen: again, atMs: idleAtMs } = await heard.kind('mutter', 'idle', since);
    expect(again?.reading.kind === 'idle' && idleAtMs - again.reading.lastActiveMs).toBeCloseTo(5_000, -2);
  }
  const said = heard.said.length;
  await fire(control, 21); // long gone
  await fire(control, 7);
  await heard.kind('mutter', 'idle', said);
  expect(heard.said.slice(said).map(({ seen }) => seen?.reading.kind)).toEqual(['idle']);
});

itWith('dbusmock')('Mutter may come later than the helper, and go before it', async () => {
  const bus = await startMessageBus();
  const heard = Heard.of(signalOn(bus));
  await heard.kind('mutter', 'absent');
  const running = await bus.python(mutter.replace('IDLE', '1'), /ready/);
  await heard.kind('mutter', 'active');
  const since = heard.said.length;
  await running.stop();
  await heard.kind('mutter', 'absent', since);
  await bus.stop();
  expect((await heard.kind('mutter', 'failed')).seen?.sees).toEqual([]);
});

function signalOn(bus: MessageBus) {
  const uid = process.getuid?.() ?? 0;
  return mutterIdle({ clock: systemClock, uid, busAddress: bus.address, sees: ['session 1000/2'] });
}

/** Makes the mock send what Mutter sends when a watch fires. */
async function fire(bus: Bus, watch: number): Promise<void> {
  const path = '/org/gnome/Mutter/IdleMonitor/Core';
  const control = { destination: 'org.gnome.Mutter.IdleMonitor', path, interface: 'org.freedesktop.DBus.Mock' };
  await bus.call({
    ...control,
    member: 'AddMethod',
    signature: 'sssss',
    args: [
      control.destination,
      'Fire',
      '',
      '',
      `self.EmitSignal('org.gnome.Mutter.IdleMonitor', 'WatchFired', 'u', [dbus.UInt32(${watch})])`,
    ],
  });
  await bus.call({ ...control, interface: control.destination, member: 'Fire' });
}
