import { describe, expect, it } from 'vitest';
import { type Content, problemsOf } from '../kit/job-folder.ts';

// One file of expected messages for each case: read them as somebody who has just made the mistake.
interface Case {
  readonly files: Readonly<Record<string, Content>>;
  readonly file?: string;
  readonly name?: string;
  readonly where?: readonly { axis: string; value: string }[];
}

const labrun = (text: string, files: Readonly<Record<string, Content>> = {}): Case => ({
  files: { 'labrun.yaml': text, ...files },
});
const distribute = (text: string, files: Readonly<Record<string, Content>> = {}): Case => ({
  files: { 'distribute-jobs.yaml': text, ...files },
  file: 'distribute-jobs.yaml',
});
const sweep = (job: string, files: Readonly<Record<string, Content>> = {}) =>
  labrun(`name: sweep\njobs:\n  - name: run\n    run: "true"\n${job.replace(/^/gm, '    ')}\n`, files);
const bomb = [
  'name: bomb',
  'jobs:',
  '  - name: run',
  '    run: &a ["x", "x", "x", "x", "x", "x", "x", "x", "x", "x"]',
  ...[...'bcdefghij'].map((name, at) => `    k${at}: &${name} [${Array(10).fill(`*${'abcdefghij'[at]}`).join(', ')}]`),
].join('\n');

const cases: Readonly<Record<string, Case>> = {
  'unknown keys': labrun(
    'name: a\nnamespaces: x\njobs:\n  - name: run\n    run: "true"\n    tmplates: [a]\n    archives: [b]\n    colour: red\n',
  ),
  'wrong types': labrun(
    'name: 5\nmaxRunning: many\nmaxFailures: 0\njobs:\n  - name: [a]\n    run: {cmd: x}\n    retries: -1\n    timeLimit: 90\n    needs: {ranks: 0, memory: lots}\n    files: case/\n    env: [A]\n',
  ),
  'keys that are missing': labrun('namespace: x\njobs:\n  - name: run\n  - run: x\n'),
  'a job with the name of a file of ours': labrun('name: a\njobs:\n  - name: Jobs.csv\n    run: x\n'),
  'no jobs at all': labrun('name: a\n'),
  'an empty file': labrun(''),
  'a list instead of a mapping': labrun('- a\n- b\n'),
  'keys of later releases': labrun(
    'name: a\npriority: 3\nnotify: ["mailto:a@b.c"]\njobs:\n  - name: run\n    run: x\n    after: build\n    slurm: {time: 1h}\n',
  ),
  'files that are not there': sweep(
    'matrix: {mesh: [coarse, fine]}\nfiles: [case/, "{{mesh}}.msh", "*.dat", coarse.msh/]',
    { 'coarse.msh': '' },
  ),
  'a file that leaves its folder': sweep('files: [../x, /etc/passwd, {path: a, as: ../b}, {path: a, as: /b}]', {
    a: '',
  }),
  'two files with one name': sweep(
    'matrix: {mesh: [one, two]}\nfiles: [case/, {path: "{{mesh}}", as: case/a}, {path: one, as: case}]',
    {
      'case/a': '',
      one: '1',
      two: '2',
    },
  ),
  'links that leave their folder': sweep('files: [case/, other/]', {
    'case/deep/up': { link: '../../secret' },
    'other/absolute': { link: '/etc/passwd' },
    secret: '',
  }),
  'templates that are not laid out': sweep(
    'matrix: {nu: [1, 2]}\nfiles: [case/]\ntemplates: [case/transportProprties, "case/nu-{{nu}}"]',
    { 'case/transportProperties': '{{nu}}' },
  ),
  'axes that do not exist': sweep(
    'matrix: {viscosity: [1, 2]}\nfiles: ["{{mesh}}.msh"]\narchive: ["{{viscosty}}/"]\nexpect: ["out/{{nu}}"]\nenv: {NU: "{{viscosity}}"}',
  ),
  'an axis in a batch without a matrix': labrun('name: a\njob:\n  run: echo {{nu}}\n'),
  'braces that YAML takes for its own': labrun(
    'name: a\njobs:\n  - name: run\n    run: x\n    files: [meshes/{{mesh}}.msh]\n',
  ),
  'braces as a whole value': labrun('name: a\njob:\n  run: {{nu}}\n'),
  'a leading star': labrun('name: a\njob:\n  run: x\n  archive:\n    - *.csv\n'),
  'a colon in plain text': labrun('name: a\njob:\n  run: echo one: two\n'),
  'a tab': labrun('name: a\njob:\n\trun: x\n'),
  'a key twice': labrun('name: a\nname: b\njob: {run: x}\n'),
  'YAML that expands without end': labrun(bomb),
  'YAML that contains itself': labrun('name: a\njob:\n  run: &x [a, *x]\n'),
  'YAML that nests too deep': labrun(`name: ${'['.repeat(100_000)}`),
  'duplicate job names, also by case': labrun(
    'name: a\njobs:\n  - {name: run, run: x}\n  - {name: Run, run: x}\n  - {name: run-nu-1, run: y}\n',
  ),
  'values that make one name': sweep('matrix: {dir: [a/b, a:b]}'),
  'a value twice': sweep('matrix: {nu: [1e-5, 2, 1e-5]}'),
  'names that leave their folder': labrun('name: ../a\nnamespace: a/b\njobs:\n  - {name: ../up, run: x}\n'),
  'a name on the command line': { ...labrun('name: a\njob: {run: x}\n'), name: 'a b' },
  'a matrix of zero jobs': labrun(
    'name: a\njobs:\n  - {name: a, run: x, matrix: {nu: []}}\n  - {name: b, run: x, matrix: {rows: []}}\n  - {name: c, run: x, matrix: {}}\n  - {name: d, run: x, matrix: {nu: [1], exclude: [{nu: 1}]}}\n',
  ),
  'rows that do not fit': sweep(
    'matrix:\n  rows: [{nu: 1, mesh: a}, {nu: 2}, {nu: 3, mesch: b, mesh: c}]\n  exclude: [{mesh: z}, {mash: a}, {}]',
  ),
  'a matrix made in two ways': sweep('matrix: {nu: [1], from: p.csv}', { 'p.csv': 'nu\n1\n' }),
  'tables that do not fit': labrun(
    'name: a\njobs:\n  - {name: a, run: x, matrix: {from: ragged.csv}}\n  - {name: b, run: x, matrix: {from: empty.csv}}\n  - {name: c, run: x, matrix: {from: none.csv}}\n  - {name: d, run: x, matrix: {from: semicolons.csv}}\n  - {name: e, run: x, matrix: {from: header.csv}}\n  - {name: f, run: x, matrix: {from: hole.csv}}\n  - {name: g, run: x, matrix: {from: names.csv}}\n  - {name: h, run: x, matrix: {from: quote.csv}}\n',
    {
      'ragged.csv': 'nu,mesh\n1,a\n2\n',
      'empty.csv': '',
      'semicolons.csv': 'nu;mesh\n1;a\n',
      'header.csv': 'nu,mesh\n',
      'hole.csv': 'nu,mesh\n1,a\n\n2,\n',
      'names.csv': 'nu,my mesh,NU\n1,a,b\n',
      'quote.csv': 'nu\n"1\n',
    },
  ),
  'too many jobs': sweep(`matrix: {a: [${numbers(1001)}], b: [${numbers(1001)}]}`),
  'capabilities nobody can spell': sweep('needs: ["openfoam=>1912", "python 3", ""]'),
  'cpus that contradict ranks': sweep('needs: {cpus: 4, ranks: 8, threads: 2}'),
  'job and jobs': labrun('name: a\njob: {run: x}\njobs: [{name: b, run: y}]\n'),
  'matrix beside jobs': labrun('name: a\nmatrix: {nu: [1]}\njobs: [{name: b, run: y}]\n'),
  'environment that labrun sets': sweep('env: {LABRUN_JOB: x, "1A": y}'),
  'an axis in a build': labrun(
    'name: a\nbuild: {run: "make NU={{nu}}"}\njobs: [{name: b, run: y, matrix: {nu: [1]}}]\n',
  ),
  'a selection of nothing': { ...sweep('matrix: {mesh: [coarse]}'), where: [{ axis: 'mehs', value: 'fine' }] },
  'distribute: keys': distribute(
    'meta: {batch_name: a, namespace: b, capabilites: []}\npython:\n  initialize: {build_file: {path: b.py, alais: c}}\n  jobs: []\n  extra: 1\nslurm: {nodes: many, unheard: 1}\n',
    { 'b.py': '' },
  ),
  'distribute: neither or both': distribute('meta: {batch_name: a, namespace: b, capabilities: []}\n'),
  'distribute: names and files': distribute(
    'meta: {batch_name: a b, namespace: .., capabilities: [], matrix: nobody}\npython:\n  initialize: {build_file: b.py, required_files: [x.txt, {path: y.txt, alias: x.txt}]}\n  jobs:\n    - {name: one, file: gone.py}\n    - {name: ONE, file: b.py, required_files: [{path: x.txt, alias: ../x}, folder]}\n    - {name: two, file: {path: b.py, alias: input}}\n',
    { 'b.py': '', 'x.txt': '', 'y.txt': '', 'folder/f': '' },
  ),
  'every kind of mistake at once': labrun(
    'name: a\nnmespace: x\njobs:\n  - {name: run, run: x, files: [gone], retries: some}\n  - {name: RUN, run: "{{nu}}", timeLimit: soon}\n  - {name: c, run: x, matrix: {nu: []}, after: run}\n',
  ),
  'distribute: mounts': distribute(
    'meta: {batch_name: a, namespace: b, capabilities: []}\napptainer:\n  initialize: {sif: i.sif, required_mounts: [work, /a:b, /ok, /ok, /../x]}\n  jobs: [{name: one}]\n',
    { 'i.sif': '' },
  ),
};

describe('what is wrong in a job file is told', () => {
  for (const [title, { files, ...options }] of Object.entries(cases)) {
    it(title, async () => {
      const file = `errors/${title.replace(/[^a-z]+/gi, '-').toLowerCase()}.txt`;
      await expect(`${await problemsOf(files, options)}\n`).toMatchFileSnapshot(file);
    });
  }

  it('when the file itself is missing', async () => {
    const message = await problemsOf({}, { file: 'gone.yaml' });
    expect(message).toMatch(/^gone\.yaml:1:1: Cannot read the job file "gone\.yaml": ENOENT/);
  });
});

function numbers(size: number): string {
  return Array.from({ length: size }, (_, at) => at).join(', ');
}
