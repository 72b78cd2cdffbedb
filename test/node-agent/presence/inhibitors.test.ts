import { expect } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import {
  gnomeInhibitors,
  type InhibitorKeeper,
  inhibitors,
  kdeInhibitors,
  logindInhibitors,
} from '../../../node-agent/presence/inhibitors.ts';
import { Heard } from '../../kit/heard.ts';
import { startMessageBus } from '../../kit/message-bus.ts';
import { itWith } from '../../kit/real-parts.ts';

/** A keeper as its interface describes it; `Hold` sets what it answers and sends the signal of a change. */
const mock = (keeper: {
  name: string;
  path: string;
  method: string;
  input: string;
  output: string;
  none: string;
  held: string;
  change: string;
}) => `
import dbusmock, dbus, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
name = dbus.service.BusName('${keeper.name}', bus)
mock = dbusmock.mockobject.DBusMockObject(name, '${keeper.path}', '${keeper.name}', {})
mock.AddMethod('', '${keeper.method}', '${keeper.input}', '${keeper.output}', 'ret = self.held if getattr(self, "on", False) else ${keeper.none}')
mock.AddMethod('', 'Hold', 'u', '', """
self.on = args[0] == 1
self.held = ${keeper.held}
${keeper.change}
""")
print('ready')
GLib.MainLoop().run()
`;

const keepers = [
  {
    keeper: gnomeInhibitors,
    what: 'a program holds the session awake',
    mock: {
      method: 'IsInhibited',
      input: 'u',
      output: 'b',
      none: 'False',
      held: 'True',
      change: "self.EmitSignal('', 'InhibitorAdded', 'o', [dbus.ObjectPath('/a')])",
    },
  },
  {
    keeper: kdeInhibitors,
    what: 'a program holds the screen awake',
    mock: {
      method: 'HasInhibition',
      input: 'u',
      output: 'b',
      none: 'False',
      held: 'True',
      change: "self.EmitSignal('', 'InhibitionsChanged', 'a(ss)as', [[], []])",
    },
  },
] as const;

for (const { keeper, what, mock: parts } of keepers) {
  itWith('dbusmock')(`${keeper.destination} tells of a film while it runs`, async () => {
    const bus = await startMessageBus();
    const heard = Heard.of(signalOn(bus.address, keeper));
    await heard.kind(keeper.name, 'absent');
    await bus.python(mock({ name: keeper.destination, path: keeper.path, ...parts }), /ready/);
    const control = await bus.connect();
    const hold = (on: number) => {
      const place = { destination: keeper.destination, path: keeper.path, interface: keeper.destination };
      return control.call({ ...place, member: 'Hold', signature: 'u', args: [on] });
    };
    const before = heard.said.length;
    await hold(1);
    const { seen } = await heard.kind(keeper.name, 'busy', before);
    expect(seen?.reading).toMatchObject({ what });
    const since = heard.said.length;
    await hold(0);
    await heard.kind(keeper.name, 'absent', since);
  });
}

itWith('dbusmock')('logind and a bus that are not there are nothing to watch; a bus that dies is told', async () => {
  const bus = await startMessageBus();
  const heard = Heard.of(signalOn(bus.address, logindInhibitors));
  await heard.kind('inhibitors', 'absent');
  const none = Heard.of(signalOn('unix:path=/nowhere/bus', logindInhibitors));
  await none.kind('inhibitors', 'absent');
  const gnome = Heard.of(signalOn(bus.address, gnomeInhibitors));
  await gnome.kind(gnomeInhibitors.name, 'absent');
  await bus.stop();
  await gnome.kind(gnomeInhibitors.name, 'failed');
});

function signalOn(busAddress: string, keeper: InhibitorKeeper) {
  return inhibitors({ clock: systemClock, uid: process.getuid?.() ?? 0, busAddress, keeper });
}
