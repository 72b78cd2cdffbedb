import { expect } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { mutterIdle } from '../../../node-agent/presence/mutter.ts';
import { atOnceMs, Heard } from '../../kit/heard.ts';
import { type MessageBus, startMessageBus } from '../../kit/message-bus.ts';
import { fireMutter, firstActiveWatch, idleWatch, startMutter } from '../../kit/mutter.ts';
import { itWith } from '../../kit/real-parts.ts';

itWith('dbusmock')('GNOME tells at once that somebody acts again, and what nobody did in between', async () => {
  const bus = await startMessageBus();
  await startMutter(bus, 60_000);
  const heard = Heard.of(signalOn(bus));
  const control = await bus.connect();
  const { seen: idle, atMs } = await heard.kind('mutter', 'idle');
  expect(idle).toMatchObject({ sees: ['session 1000/2'] });
  expect(idle?.reading.kind === 'idle' && atMs - idle.reading.lastActiveMs).toBeCloseTo(60_000, -2);

  // Each round has a new watch: the old one has fired.
  for (const watch of [firstActiveWatch, firstActiveWatch + 1]) {
    const since = heard.said.length;
    const beganMs = systemClock.sinceBootMs();
    await fireMutter(control, watch);
    expect((await heard.kind('mutter', 'active', since)).atMs - beganMs).toBeLessThan(atOnceMs);
    await fireMutter(control, idleWatch);
    const { seen: again, atMs: idleAtMs } = await heard.kind('mutter', 'idle', since);
    expect(again?.reading.kind === 'idle' && idleAtMs - again.reading.lastActiveMs).toBeCloseTo(5_000, -2);
  }
  const said = heard.said.length;
  await fireMutter(control, firstActiveWatch); // long gone
  await fireMutter(control, idleWatch);
  await heard.kind('mutter', 'idle', said);
  expect(heard.said.slice(said).map(({ seen }) => seen?.reading.kind)).toEqual(['idle']);
});

itWith('dbusmock')('Mutter may come later than the helper, and go before it', async () => {
  const bus = await startMessageBus();
  const heard = Heard.of(signalOn(bus));
  await heard.kind('mutter', 'absent');
  const running = await startMutter(bus, 1);
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
