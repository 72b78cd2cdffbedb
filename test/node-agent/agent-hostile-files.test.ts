import { mkdirSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import { agentWorld, type Change } from '../kit/agent-world.ts';
import { aFence } from '../kit/attempts.ts';

const world = agentWorld();
const { ENDED, RETURNED } = AttemptPhase;
const cancel: Change = { $case: 'cancel', value: { fence: aFence(), graceMs: 1_000n } };

describe('a job that puts something else in the place of its log', () => {
  const tricks = {
    'a FIFO': 'rm log; mkfifo log',
    'a link to what is not its own': 'rm log; ln -s ../../../secret log',
    'a folder': 'rm log; mkdir log',
    'a hole of a terabyte': 'truncate -s 1T log',
  };

  it.each(Object.entries(tricks))('%s, is reported without it, and the next one runs', async (_, trick) => {
    writeFileSync(world.at('secret'), 'SECRET\n');
    await world.startAgent();
    await world.head.until(() => world.head.connected);
    // Long enough for what follows a log while it is written.
    world.head.say(world.aBatch(`${trick}; sleep 1; exit 3`)());
    const { outcome, inlineArchive } = await world.head.untilPhase(ENDED);
    expect(outcome).toMatchObject({ state: 'failed', reason: 'exit', exitCode: 3 });
    expect(outcome?.message).toContain('Cannot archive ".labrun/log"');
    expect(outcome?.message).not.toContain('SECRET');
    expect(inlineArchive?.files).toEqual([]);
    const sent = [...world.head.staged.values()].map(({ data }) => data.toString()).join('');
    expect(sent).not.toContain('SECRET');
    expect(sent.length).toBeLessThan(1_000_000);
    world.head.say(world.aBatch('echo fine')({ index: 1 }));
    expect((await world.head.untilPhase(ENDED, 1)).outcome).toMatchObject({ state: 'succeeded' });
  });
});

it.each(['rm log; mkfifo log', 'ln -sf ../../../secret log', 'truncate -s 1T log'])(
  'a build that makes its log something else is told of as any other: %s',
  async (trick) => {
    writeFileSync(world.at('secret'), 'SECRET\n'.repeat(1_000));
    const { agent } = await world.startAgent();
    await world.head.until(() => world.head.connected);
    world.head.say(world.aBatch('true', { build: `${trick}; exit 2` })());
    expect((await world.head.untilPhase(RETURNED)).message).toContain('exit code 2');
    // Everything it began has ended by then, and nothing came of it.
    await agent.close();
    const sent = [...world.head.staged.values()].map(({ data }) => data.toString()).join('');
    expect(sent).not.toContain('SECRET');
    expect(sent.length).toBeLessThan(1_000_000);
  },
);

describe('while a job runs', () => {
  const big = 'head -c 20000 /dev/zero >';
  const until = (name: string) => `until [ -e ${world.at(name)} ]; do sleep 0.05; done`;

  it('nothing travels from behind a folder that has become a link', async () => {
    mkdirSync(world.at('secrets'));
    writeFileSync(world.at('secrets/file'), 'SECRET'.repeat(5_000));
    await world.startAgent();
    await world.head.until(() => world.head.connected);
    const swap = `mv $LABRUN_ARCHIVE/run aside; ln -s ${world.at('secrets')} $LABRUN_ARCHIVE/run`;
    world.head.say(
      world.aBatch(
        `mkdir $LABRUN_ARCHIVE/run; sleep 1; ${big} $LABRUN_ARCHIVE/run/file; ${big} $LABRUN_ARCHIVE/later; ${swap};` +
          `${until('go')}; rm $LABRUN_ARCHIVE/run`,
      )(),
    );
    // They were touched one after the other, and so they are looked at.
    await world.head.until(() => world.head.staged.get('0.1 archive/later')?.verified);
    expect([...world.head.staged.keys()].filter((key) => key.includes('run'))).toEqual([]);
    await writeFile(world.at('go'), '');
    await world.head.untilPhase(ENDED);
    for (const { data } of world.head.staged.values()) expect(data.includes('SECRET')).toBe(false);
  });

  it('no terabyte of nothing travels, and what is there does', async () => {
    await world.startAgent();
    await world.head.until(() => world.head.connected);
    const hole = `sleep 1; truncate -s 1T $LABRUN_ARCHIVE/hole; ${big} $LABRUN_ARCHIVE/there`;
    world.head.say(world.aBatch(`${hole}; ${until('go')}; rm $LABRUN_ARCHIVE/hole`)());
    await world.head.until(() => world.head.staged.get('0.1 archive/there')?.verified);
    expect(world.head.staged.has('0.1 archive/hole')).toBe(false);
    await writeFile(world.at('go'), '');
    expect((await world.head.untilPhase(ENDED)).outcome).toMatchObject({ state: 'succeeded' });
  });

  it('files travel also from an archive that a runtime has in the working folder', async () => {
    await world.startAgent();
    await world.head.until(() => world.head.connected);
    const layout = 'rmdir archive; mkdir -p work/save; ln -s work/save archive';
    world.head.say(world.aBatch(`${layout}; sleep 1; ${big} $LABRUN_ARCHIVE/there; sleep 60`)());
    await world.head.until(() => world.head.staged.get('0.1 archive/there')?.verified);
    world.head.say(cancel);
    await world.head.untilPhase(ENDED);
  });
});
