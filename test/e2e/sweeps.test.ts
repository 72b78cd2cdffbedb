import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { tree } from '../kit/trees.ts';

const lab = sharedLab();
const job = (extra: string) => `
    needs: {cpus: 1}
    ${extra}
`;

it('keeps values as they were written, in names, parameters, texts and results', async () => {
  const folder = lab().write('axes', {
    'case/transport.dict': 'nu {{nu}};\nangle ({{angle}} {{angle}});\nkept {{ not an axis }};\n',
    'labrun.yaml': `
name: axes
namespace: t
jobs:
  - name: run
    matrix:
      nu: [1e-5, 0.10]
      angle: [012, 7]
      exclude: [{nu: 0.10, angle: 7}]
      include: [{nu: 2e-6, angle: 090}]
    files: [case/]
    templates: [case/transport.dict]
    run: |
      cp case/transport.dict $LABRUN_ARCHIVE/
      echo '{"nu_seen": "{{nu}}", "angle_seen": '$(echo {{angle}} | sed 's/^0*//')'}' > $LABRUN_ARCHIVE/result.json
      test "$LABRUN_PARAM_NU" = {{nu}}
${job('timeLimit: 1m')}`,
  });
  await lab().ok('submit', `${folder}/labrun.yaml`, '--wait');
  const { jobs } = await lab().json('status', 't/axes');
  expect(jobs.map((one: { params: object }) => one.params)).toEqual([
    { nu: '1e-5', angle: '012' },
    { nu: '1e-5', angle: '7' },
    { nu: '0.10', angle: '012' },
    { nu: '2e-6', angle: '090' },
  ]);
  expect(jobs[0].name).toBe('run-nu-1e-5_angle-012');
  expect(tree(`${lab().archive}/t/axes/run-nu-1e-5_angle-012`)['transport.dict']).toBe(
    'nu 1e-5;\nangle (012 012);\nkept {{ not an axis }};\n',
  );
  const table = rows(await lab().ok('results', 't/axes', '--csv'));
  expect(table[0]).toEqual(expect.arrayContaining(['nu', 'angle', 'nu_seen', 'angle_seen']));
  const column = (name: string) => table.slice(1).map((row) => row[table[0]?.indexOf(name) ?? -1]);
  expect(column('nu')).toEqual(['1e-5', '1e-5', '0.10', '2e-6']);
  expect(column('angle')).toEqual(['012', '7', '012', '090']);
  expect(column('nu_seen')).toEqual(column('nu'));
});

it('runs a sweep written as rows', async () => {
  const folder = lab().write('rows', {
    'labrun.yaml': `
name: rows
namespace: t
matrix:
  rows: [{nu: 1e-5, mesh: coarse}, {nu: 0.10, mesh: fine}]
job:
  name: "r-{{mesh}}"
  run: echo {{nu}} {{mesh}}
${job('').replace(/^ {4}/gm, '  ')}`,
  });
  await lab().ok('submit', `${folder}/labrun.yaml`, '--wait');
  expect(await lab().ok('logs', 't/rows/r-coarse')).toBe('1e-5 coarse\n');
  expect(await lab().ok('logs', 't/rows/r-fine')).toBe('0.10 fine\n');
});

it('runs a sweep of two hundred lines of a table, then ten more, then what changed, then what failed', async () => {
  const line = (at: number) => `${at === 7 ? '1e-5' : (at / 100).toFixed(2)},${String(at).padStart(3, '0')}`;
  const table = (count: number) => `x,id\n${Array.from({ length: count }, (_, at) => line(at)).join('\n')}\n`;
  const allow = lab().path('allow');
  const folder = lab().write('table', {
    'points.csv': table(200),
    'limit.txt': '190\n',
    'labrun.yaml': `
name: table
namespace: t
jobs:
  - name: "p{{id}}"
    matrix: {from: points.csv}
    files: [limit.txt]
    run: |
      echo {{x}} > $LABRUN_ARCHIVE/x.txt
      [ {{id}} != 013 ] || [ -e ${allow} ]
${job('')}`,
  });
  const file = `${folder}/labrun.yaml`;
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  const first = await lab().json('status', 't/table');
  expect(first.counts).toMatchObject({ succeeded: 199, failed: 1 });
  expect(readFileSync(`${lab().archive}/t/table/p007/x.txt`, 'utf8')).toBe('1e-5\n');
  expect(readFileSync(`${lab().archive}/t/table/p010/x.txt`, 'utf8')).toBe('0.10\n');

  // The failed one alone runs again.
  expect((await lab().labrun('retry', 't/table')).code).toBe(2);
  writeFileSync(allow, '');
  await lab().ok('retry', 't/table', '--state', 'failed');
  await lab().ok('wait', 't/table');
  const retried = await lab().json('status', 't/table');
  expect(retried.counts).toMatchObject({ succeeded: 200, failed: 0 });
  expect(attemptsOf(retried)).toEqual({ p013: 2 });

  // Ten points more: the old ones stay as they are.
  writeFileSync(`${folder}/points.csv`, table(210));
  const refused = await lab().labrun('submit', file);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/10 new/);
  expect(refused.stderr).toMatch(/200 unchanged/);
  await lab().ok('submit', file, '--add', '--wait');
  const added = await lab().json('status', 't/table');
  expect(added.counts).toMatchObject({ succeeded: 210 });
  expect(attemptsOf(added)).toEqual({ p013: 2 });

  // A changed input: refused by --add, taken by --add --changed.
  writeFileSync(`${folder}/limit.txt`, '195\n');
  expect((await lab().labrun('submit', file, '--add')).code).toBe(2);
  await lab().ok('submit', file, '--add', '--changed', '--wait');
  const changed = await lab().json('status', 't/table');
  expect(changed.counts).toMatchObject({ succeeded: 210 });
  expect(Object.keys(attemptsOf(changed))).toHaveLength(210);

  // Pull a part, by a parameter.
  await lab().ok('pull', 't/table', '--where', 'id=013', '--to', 'part');
  expect(tree(lab().path('part/table'), ['.labrun', 'jobs.csv'])).toEqual({ 'p013/': '/', 'p013/x.txt': '0.13\n' });
}, 90_000);

it('submits a matrix under another name, replaces a batch, and does nothing when only asked what it would do', async () => {
  const file = lab().jobFile('again', {
    name: 'again',
    namespace: 't',
    jobs: [{ name: 'j', needs: { cpus: 1 }, run: 'echo one > $LABRUN_ARCHIVE/out' }],
  });
  await lab().ok('submit', file, '--dry-run');
  expect((await lab().labrun('status', 't/again')).code).toBe(3);
  await lab().ok('submit', file, '--wait');
  await lab().ok('submit', file, '--name', 'other', '--wait');
  expect(readFileSync(`${lab().archive}/t/other/j/out`, 'utf8')).toBe('one\n');

  lab().jobFile('again', {
    name: 'again',
    namespace: 't',
    jobs: [{ name: 'k', needs: { cpus: 1 }, run: 'echo two > $LABRUN_ARCHIVE/out' }],
  });
  expect((await lab().labrun('submit', file, '--replace')).code).toBe(2); // no terminal to ask, and no --yes
  await lab().ok('submit', file, '--replace', '--yes', '--wait');
  expect(tree(`${lab().archive}/t/again`)).toEqual({ 'k/': '/', 'k/out': 'two\n' });
  expect(Object.values(tree(`${lab().archive}/t/.replaced`))).toContain('one\n');
});

/** Jobs that took more than one attempt. */
function attemptsOf(status: { jobs: { name: string; attempt: number }[] }): Record<string, number> {
  return Object.fromEntries(
    status.jobs.filter(({ attempt }) => attempt > 1).map(({ name, attempt }) => [name, attempt]),
  );
}

function rows(csv: string): string[][] {
  return csv
    .trim()
    .split('\n')
    .map((line) => line.split(',').map((cell) => cell.replace(/^"|"$/g, '')));
}
