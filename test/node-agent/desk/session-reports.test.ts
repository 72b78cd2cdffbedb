import { expect, it } from 'vitest';
import { systemRandom } from '../../../base/random.ts';
import { takeReports, writeReport } from '../../../node-agent/desk/session-reports.ts';
import type { HelperId } from '../../../node-agent/presence/watch.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { until } from '../../kit/until.ts';

it('takes so many reports in a second from one program, the others when the second is over, and forgets it with its end', async () => {
  const clock = new ManualClock();
  const fed: string[] = [];
  const lost: HelperId[] = [];
  const presence = {
    feed: (_: HelperId, source: string) => void fed.push(source),
    lost: (helper: HelperId) => void lost.push(helper),
  };
  let asked = 0;
  async function* reports() {
    for (; asked < 120; asked++) {
      const seen = { reading: { kind: 'absent', why: 'nothing' }, sees: [] } as const;
      yield writeReport(`s${asked}`, seen, clock.sinceBootMs());
    }
  }
  const taking = takeReports(reports(), { uid: 1000, name: 'ada' }, presence, { clock, random: systemRandom });
  for (const [seconds, taken] of [50, 100].entries()) {
    await until('the first of this second are taken', () => clock.waits.length > 0);
    expect(fed).toHaveLength(taken);
    expect(asked, 'one more is at hand, and no other is asked for').toBe(taken);
    expect([clock.waits, lost]).toEqual([[1_000], []]);
    expect(clock.monotonicMs()).toBe(1_000_000 + seconds * 1_000);
    clock.advance(1_000);
  }
  await taking;
  expect(fed).toHaveLength(120);
  expect(lost).toMatchObject([{ uid: 1000 }]);
});
