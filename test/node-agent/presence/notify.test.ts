import { expect } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { notify } from '../../../node-agent/presence/notify.ts';
import { startMessageBus } from '../../kit/message-bus.ts';
import { startNotificationDaemon } from '../../kit/notification-daemon.ts';
import { itWith } from '../../kit/real-parts.ts';

itWith('dbusmock')(
  'a notice is shown by the desktop as it was said; where nobody shows any, that is said',
  async () => {
    const bus = await startMessageBus();
    const where = { clock: systemClock, uid: process.getuid?.() ?? 0, busAddress: bus.address };
    await expect(notify(where, 'unseen')).rejects.toMatchObject({ code: 'dbus-error' });
    const shows = await startNotificationDaemon(bus);
    await notify(where, 'labrun: a job of ä <b> runs');
    expect(await shows.line(/^shown/)).toMatch(/^shown labrun 0 {2}labrun: a job of ä <b> runs {2}.*-1$/);
    await bus.stop();
    await expect(notify(where, 'gone')).rejects.toThrow();
  },
);
