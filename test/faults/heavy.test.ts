import { expect } from 'vitest';
import { delay, systemClock } from '../../base/clock.ts';
import { hostLab, sharedNetwork } from '../kit/host-lab.ts';
import { itWith } from '../kit/real-parts.ts';

/** `npm run faults` is long; `npm test` has a short form of the same. */
const isLong = process.env['LABRUN_FAULTS'] === 'long';
/** The line's speed, in bytes a second, and what travels over it: longer than a node may be silent, in the long form. */
const bytesPerS = 2_000_000;
const archiveBytes = isLong ? 80_000_000 : 16_000_000;
const heartbeatMs = 500;
/** How long ago a node that says so twice a second may have been heard, in milliseconds; unreachable is one after 20 s. */
const silenceMaxMs = 5_000;

const network = sharedNetwork('n1');

itWith('netns')(
  'hears of a node at all times while an archive fills its slow line',
  async () => {
    network().slow('n1', bytesPerS);
    const lab = await hostLab(network(), { agents: { n1: {} }, headSettings: `heartbeat: ${heartbeatMs}ms\n` });
    const run = `head -c ${archiveBytes} /dev/urandom > $LABRUN_ARCHIVE/big`;
    await lab.ok('submit', lab.jobFile('heavy', { name: 'heavy', namespace: 't', jobs: [{ name: 'j', run }] }));
    const before = network().passed('n1').sentBytes;
    let looks = 0;
    for (let ended = false; !ended; ) {
      const { nodes } = await lab.json('nodes');
      const [node] = nodes;
      expect(node.state).toBe('connected');
      expect(systemClock.nowMs() - Date.parse(node.lastSeenAt)).toBeLessThan(silenceMaxMs);
      looks += 1;
      const { counts } = await lab.json('status', 't/heavy');
      expect(counts.failed).toBe(0);
      ended = counts.succeeded === 1;
      await delay(systemClock, 200);
    }
    expect(network().passed('n1').sentBytes - before).toBeGreaterThan(archiveBytes);
    expect(looks).toBeGreaterThan(5);
    const events = await lab.ok('events');
    expect(events).not.toContain('node-disconnected');
  },
  isLong ? 240_000 : 90_000,
);
