import { expect } from 'vitest';
import { delay, systemClock } from '../../base/clock.ts';
import { hostLab, sharedNetwork } from '../kit/host-lab.ts';
import type { Network } from '../kit/network.ts';
import { itWith } from '../kit/real-parts.ts';
import { untilNothingIsLeft, WitnessedBatch } from '../kit/witness.ts';

/** `npm run faults` is long; `npm test` has a short form of the same. */
const isLong = process.env['LABRUN_FAULTS'] === 'long';
/** Each way of breaking a line, how long it lasts in milliseconds (long: past the half minute in which silence is noticed). */
const faultMs = isLong ? 45_000 : 1_500;
const jobs = isLong ? 900 : 60;
/** Bytes in each archive: enough that it does not travel inside a message. */
const archiveBytes = 300_000;

const network = sharedNetwork('n1', 'n2');

/** Every way in which a line breaks here, one after the other; each is healed before the next. */
const faults: readonly (readonly [name: string, host: string, breakLine: (lines: Network) => void])[] = [
  ['an agent is cut off', 'n1', (lines) => lines.cut('n1')],
  ['an agent hears nothing', 'n2', (lines) => lines.deafen('n2')],
  ['an agent is not heard', 'n1', (lines) => lines.mute('n1')],
  ['the connections of an agent are reset', 'n2', (lines) => lines.reset('n2')],
  ['the connections of the head are reset', 'storage', (lines) => lines.reset('storage')],
  ['the head is cut off', 'storage', (lines) => lines.cut('storage')],
  ['every fifth packet to the head is lost', 'storage', (lines) => lines.lose('storage', 0.2)],
  ['the line of the head is slow', 'storage', (lines) => lines.slow('storage', 500_000)],
];

itWith('netns')(
  'completes each job once while lines are cut, half-open, reset, lossy and slow, and leaves nothing',
  async () => {
    const lab = await hostLab(network(), { agents: { n1: {}, n2: {} } });
    const run = `head -c ${archiveBytes} /dev/urandom > $LABRUN_ARCHIVE/data; sleep 0.$(( {{i}} % 10 ))`;
    const batch = await WitnessedBatch.submit(lab, 'lines', jobs, `${run}; sleep 0.5`);
    for (const [, host, breakLine] of faults) {
      breakLine(network());
      await delay(systemClock, faultMs);
      network().heal(host);
      await delay(systemClock, faultMs / 4);
    }
    await batch.expectSucceeded();
    // No line was broken for as long as a lease: every attempt stayed its node's own.
    expect(batch.starts).toBe(jobs);
    await untilNothingIsLeft(lab, 40_000);
  },
  isLong ? 3_600_000 : 120_000,
);
