import { rmSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { filesHolding, tree } from '../kit/trees.ts';
import { until } from '../kit/until.ts';

const lab = sharedLab();

it('shows the lines of a running job when they are written', async () => {
  const [go, end] = [lab().path('go'), lab().path('end')];
  const file = lab().jobFile('talk', {
    name: 'talk',
    namespace: 't',
    jobs: [
      {
        name: 'j',
        needs: { cpus: 1 },
        run: `echo first; while [ ! -e ${go} ]; do sleep 0.05; done; echo second; while [ ! -e ${end} ]; do sleep 0.05; done; echo third`,
      },
    ],
  });
  await lab().ok('submit', file);
  const logs = lab().follow('logs', 't/talk/j', '-f');
  await logs.line(/^first$/);
  writeFileSync(go, '');
  await logs.line(/^second$/); // a job that waits says nothing more: this is no line that came with its end
  writeFileSync(end, '');
  expect((await logs.exited).code).toBe(0);
  expect(logs.lines).toEqual(['first', 'second', 'third']);
});

it('has a finished file on the head before the job ends', async () => {
  const go = lab().path('finish');
  const marker = 'written-well-before-the-end';
  const file = lab().jobFile('early', {
    name: 'early',
    namespace: 't',
    jobs: [
      {
        name: 'j',
        needs: { cpus: 1 },
        run: `printf '%s-%s\\n' written well-before-the-end > $LABRUN_ARCHIVE/early.dat; while [ ! -e ${go} ]; do sleep 0.05; done`,
      },
    ],
  });
  await lab().ok('submit', file);
  await until('the early file is on the head', () => filesHolding(lab().archive, marker).length > 0, 15_000);
  expect((await lab().json('status', 't/early')).jobs[0].state).toBe('running');
  writeFileSync(go, '');
  await lab().ok('wait', 't/early');
  expect(tree(`${lab().archive}/t/early/j`)).toEqual({ 'early.dat': `${marker}\n` });
});

it('tells the story of a batch in events, the same live and replayed', async () => {
  const live = lab().follow('events', '-f', '--json');
  await until('the stream has begun', () => live.lines.length > 0);
  const file = lab().jobFile('story', {
    name: 'story',
    namespace: 't',
    jobs: [{ name: 'j', matrix: { i: ['1', '2'] }, needs: { cpus: 1 }, run: 'true' }],
  });
  await lab().ok('submit', file, '--wait');
  const parse = (line: string): { seq: number; at: string; kind: string; batch?: string } => JSON.parse(line);
  const ended = (line: string) => line.includes('"batch-ended"') && parse(line).batch === 'story';
  await until('the live stream tells the end', () => live.lines.some(ended));
  const replayed = (await lab().ok('events', '--json')).trim().split('\n').map(parse);
  const story = replayed.filter((event) => event.batch === 'story');
  const kinds = story.map((event) => event.kind);
  expect(kinds[0]).toBe('batch-submitted');
  expect(kinds.at(-1)).toBe('batch-ended');
  expect(kinds.filter((kind) => kind === 'job-finished')).toHaveLength(2);
  expect(replayed.map((event) => event.seq)).toEqual([...replayed.map((event) => event.seq)].sort((a, b) => a - b));
  expect(live.lines.map(parse).filter((event) => event.batch === 'story')).toEqual(story);

  const from = story[1]?.seq ?? 0;
  const later = (await lab().ok('events', '--json', '--since', String(from))).trim().split('\n').map(parse);
  expect(later[0]?.seq).toBe(from);
  rmSync(file);
});
