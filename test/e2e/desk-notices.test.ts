import { expect } from 'vitest';
import { ownLab } from '../kit/lab.ts';
import { startMessageBus } from '../kit/message-bus.ts';
import { startNotificationDaemon } from '../kit/notification-daemon.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';

itWith('dbusmock')(
  'a person who wants to know sees on their desktop that a job begins, by the helper in their session',
  async () => {
    const bus = await startMessageBus();
    const desktop = await startNotificationDaemon(bus);
    const desk = { desk: { policy: { notices: 'notify' } } };
    const lab = await ownLab({ agents: { n1: { settings: desk } } });
    const helper = lab.run([process.execPath, program, 'desk', 'helper', '--data', lab.agentFolder('n1')], {
      ...lab.env,
      DBUS_SESSION_BUS_ADDRESS: bus.address,
    });
    await helper.line(/in touch with the agent of n1/);
    await lab.ok('submit', lab.jobFile('b', { name: 'told', jobs: [{ name: 'one', run: 'sleep 1' }] }));
    const shown = await desktop.line(/^shown/);
    expect(shown).toMatch(/labrun: a job of \S+ runs on this machine now/);
  },
  60_000,
);
