import { openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { capture } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const lab = sharedLab({ agents: {} });

const command = (rest: string) => `name: bad\nnamespace: t\n${rest}`;
const one = (rest: string) => command(`jobs:\n  - name: j\n    needs: {cpus: 1}\n    run: "true"\n${rest}`);
const distribute = (required: string) => `
meta: {batch_name: bad, namespace: t, capabilities: []}
python:
  initialize: {build_file: build.py, required_files: [${required}]}
  jobs: [{name: j, file: build.py}]
`;
/** Ten aliases of ten aliases of …: ten thousand million strings from twenty lines. */
const laughs = `name: bad\nnamespace: t\na: &a [x,x,x,x,x,x,x,x,x,x]\n${Array.from(
  { length: 9 },
  (_, at) =>
    `${String.fromCharCode(98 + at)}: &${String.fromCharCode(98 + at)} [${Array(10)
      .fill(`*${String.fromCharCode(97 + at)}`)
      .join(',')}]`,
).join('\n')}\njobs: [{name: j, run: "true", env: {X: *j}}]\n`;

const cases: Record<string, { text: string; says: RegExp; file?: string }> = {
  'an unknown key, with the nearest one': { text: one('    timeLimt: 2h\n'), says: /timeLimt[\s\S]*timeLimit/ },
  'a wrong type': { text: one('    retries: many\n'), says: /retries/ },
  'a file that is not there': { text: one('    files: [nowhere.dat]\n'), says: /nowhere\.dat/ },
  'two jobs of one name': {
    text: command('jobs:\n  - {name: j, run: "true"}\n  - {name: j, run: "true"}\n'),
    says: /"?j"?/,
  },
  'two jobs whose names differ by case only': {
    text: command('jobs:\n  - {name: Run, run: "true"}\n  - {name: run, run: "true"}\n'),
    says: /run/i,
  },
  'a name that climbs out': { text: command('jobs:\n  - {name: ../j, run: "true"}\n'), says: /\.\.\/j/ },
  'a batch name that climbs out': { text: 'name: ../bad\njobs:\n  - {name: j, run: "true"}\n', says: /\.\.\/bad/ },
  'a matrix of no jobs': {
    text: command('jobs:\n  - name: j\n    matrix: {a: [1], exclude: [{a: 1}]}\n    run: "true"\n'),
    says: /matrix|no jobs|zero/i,
  },
  'a key of a later release': { text: one('    after: other\n'), says: /after[\s\S]*not yet/i },
  'YAML that expands without end': { text: laughs, says: /alias|expand/i },
  'an alias that leaves input/': {
    text: distribute('{path: data.txt, alias: ../data.txt}'),
    says: /\.\.\/data\.txt/,
    file: 'distribute-jobs.yaml',
  },
  'two files with one name': {
    text: distribute('{path: data.txt, alias: same}, {path: more.txt, alias: same}'),
    says: /same/,
    file: 'distribute-jobs.yaml',
  },
};

describe('submit refuses, with exit code 2 and nothing changed,', () => {
  it.each(Object.entries(cases))('%s', async (_, { text, says, file = 'labrun.yaml' }) => {
    const inputs = { 'data.txt': 'data\n', 'more.txt': 'more\n', 'build.py': 'pass\n' };
    const folder = lab().write('bad', { ...inputs, [file]: text });
    const before = await lab().ok('events', '--json');
    for (const verb of ['submit', 'validate']) {
      const said = await lab().labrun(verb, `${folder}/${file}`);
      expect(said, said.stderr).toMatchObject({ code: 2 });
      expect(said.stderr).toMatch(says);
      expect(said.stderr).toContain(file);
      expect(said.stderr).not.toMatch(/\n\s+at .*:\d+:\d+/); // no stack trace
    }
    expect(await lab().ok('events', '--json')).toBe(before);
  });

  it('every problem of a file at once, with lines and columns', async () => {
    const folder = lab().write('worse', {
      'labrun.yaml': one('    retries: many\n    timeLimt: 2h\n    files: [nowhere.dat]\n'),
    });
    const { stderr, code } = await lab().labrun('validate', `${folder}/labrun.yaml`);
    expect(code).toBe(2);
    for (const problem of [/:7:\d+/, /retries/, /timeLimt/]) expect(stderr).toMatch(problem);
  });

  it('a batch that exists, unless told --add or --replace', async () => {
    const file = lab().jobFile('twice', { name: 'twice', namespace: 't', jobs: [{ name: 'j', run: 'true' }] });
    await lab().ok('submit', file);
    const before = await lab().ok('events', '--json');
    const again = await lab().labrun('submit', file);
    expect(again.code).toBe(2);
    expect(again.stderr).toMatch(/--add[\s\S]*--replace|--replace[\s\S]*--add/);
    expect(again.stderr).toMatch(/1 unchanged/);
    expect(await lab().ok('events', '--json')).toBe(before);
  });

  it('a file that changes while it is uploaded', async () => {
    const file = lab().jobFile('moving', {
      name: 'moving',
      namespace: 't',
      jobs: [{ name: 'j', needs: { cpus: 1 }, files: ['moving.dat'], run: 'true' }],
    });
    const data = lab().path('moving/moving.dat');
    writeFileSync(data, '');
    truncateSync(data, 512 * 2 ** 20);
    const before = await lab().ok('events', '--json');
    const submit = lab().follow('submit', file);
    // A writer that never rests until submit has ended: some write falls between the hashing and the last byte read.
    const handle = openSync(data, 'r+');
    let turn = 0;
    await until(
      'submit ends',
      () => {
        writeSync(handle, String(turn++), 400 * 2 ** 20);
        return submit.ended;
      },
      60_000,
    );
    expect((await submit.exited).code).toBe(2);
    expect(submit.lines.join('\n')).toMatch(/moving\.dat/);
    expect(await lab().ok('events', '--json')).toBe(before);
  });
});

it('exits 3 for what is not there and 4 for a head that is not there', async () => {
  for (const args of [
    ['status', 't/none'],
    ['logs', 't/none/j'],
    ['pull', 't/none'],
    ['cancel', 't/none'],
    ['wait', 't/none'],
  ]) {
    const said = await lab().labrun(...args);
    expect(said, `${args}: ${said.stderr}`).toMatchObject({ code: 3 });
    expect(said.stderr).toContain('none');
  }
  const env = { ...lab().env, LABRUN_HEAD: 'unix:/nowhere/head.sock' };
  const { code, stderr } = await capture([process.execPath, program, 'nodes'], { env });
  expect(code, stderr).toBe(4);
  expect(stderr).toContain('/nowhere/head.sock');
});

it('refuses to speak in plain text beyond this machine, and says why', async () => {
  await lab().ok('head', 'init', '--data', lab().path('another'));
  for (const args of [
    ['head', 'start', '--data', lab().path('another'), '--plain', '--grpc', '0.0.0.0:7420'],
    ['agent', 'start', '--data', lab().path('far'), '--head', 'head.example:7420'],
  ]) {
    const said = await lab().labrun(...args);
    expect(said.code, said.stderr).not.toBe(0);
    expect(said.stderr).toContain('in plain text');
  }
});
