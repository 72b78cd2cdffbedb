import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hashBytes } from '../../base/transfer/hash.ts';
import { resolveJobFile } from '../../config/job-file.ts';
import { locateJob, specIndexByName } from '../../config/matrix.ts';
import type { BatchSpec } from '../../config/spec.ts';
import { readSpec } from '../../config/spec-file.ts';
import { type Content, jobFolder, resolveFolder } from '../kit/job-folder.ts';

describe('a labrun.yaml', () => {
  it('becomes a spec that reads back as it was resolved', async () => {
    const { spec, specBytes, sourceBytes } = await resolveFolder({ 'labrun.yaml': 'name: a\njob: {run: "true"}\n' });
    expect(readSpec(specBytes)).toEqual(spec);
    expect(sourceBytes.toString()).toBe('name: a\njob: {run: "true"}\n');
    expect(spec).toMatchObject({ name: 'a', namespace: 'kim', origin: 'labrun', features: ['runtime.command'] });
    expect(names(spec)).toEqual(['job']);
  });

  it('keeps values as they were written, in YAML, JSON and CSV', async () => {
    const values = ['1e-5', '0.10', '012', '0x1F', 'true', '~', '1_000', '.5'];
    const yaml = await sweep(`matrix: {v: [${values.join(', ')}]}`);
    expect(axis(yaml)).toEqual(values);
    const rows = await sweep(`matrix: {rows: [${values.map((value) => `{v: ${value}}`).join(', ')}]}`);
    expect(axis(rows)).toEqual(values);
    const csv = await sweep('matrix: {from: p.csv}', { 'p.csv': `v\n${values.join('\n')}\n` });
    expect(axis(csv)).toEqual(values);
    const json = await resolveFolder({
      'labrun.yaml':
        '{\n\t"name": "a",\n\t"jobs": [{"name": "r", "run": "x", "matrix": {"v": [1e-5, 0.10, "012", 1E5]}}]\n}\n',
    });
    expect(axis(json.spec)).toEqual(['1e-5', '0.10', '012', '1E5']);
  });

  it('keeps the values of variables as written', async () => {
    const { spec } = await resolveFolder({
      'labrun.yaml': 'name: a\nenv: {A: 010, B: yes, C: "x y"}\njob: {run: x, env: {D: 1.0}}\n',
    });
    expect(spec.env).toEqual({ A: '010', B: 'yes', C: 'x y' });
    expect(spec.groups[0]?.env).toEqual({ D: '1.0' });
  });

  it('names jobs by their axes, or as the name says', async () => {
    expect(names(await sweep('matrix: {nu: [1e-5, 2], mesh: [fine]}'))).toEqual([
      'run-nu-1e-5_mesh-fine',
      'run-nu-2_mesh-fine',
    ]);
    const { spec } = await resolveFolder({
      'labrun.yaml': 'name: a\njobs:\n  - {name: "case {{ nu }}", run: x, matrix: {nu: [a/b, c]}}\n'.replace(
        'case ',
        'case-',
      ),
    });
    expect(names(spec)).toEqual(['case-a_b', 'case-c']);
  });

  it('drops rows by part of them, and adds whole ones', async () => {
    const spec = await sweep(
      'matrix: {nu: [1, 2], mesh: [a, b], exclude: [{nu: 2, mesh: b}, {nu: 1, mesh: a}], include: [{nu: 9, mesh: z}]}',
    );
    expect(names(spec)).toEqual(['run-nu-1_mesh-b', 'run-nu-2_mesh-a', 'run-nu-9_mesh-z']);
  });

  it('takes a table with quotes, blanks, a byte order mark and Windows line ends', async () => {
    const spec = await sweep('matrix: {from: p.csv}', {
      'p.csv': '\ufeffnu, text\r\n1e-5 ,"a, b"\r\n\r\n2,"say ""x"""\r\n',
    });
    expect(locateJob(spec, 0).params).toEqual({ nu: '1e-5', text: 'a, b' });
    expect(locateJob(spec, 1).params).toEqual({ nu: '2', text: 'say "x"' });
  });

  it('leaves a plain product implicit, and makes rows explicit where some are picked', async () => {
    expect((await sweep('matrix: {nu: [1, 2]}')).groups[0]?.matrix?.cells).toBeUndefined();
    expect((await sweep('matrix: {nu: [1, 2], exclude: [{nu: 1}]}')).groups[0]?.matrix?.cells).toBeDefined();
  });

  it('takes matrix and job at the top as one entry of jobs', async () => {
    const { spec } = await resolveFolder({ 'labrun.yaml': 'name: a\nmatrix: {nu: [1, 2]}\njob: {name: r, run: x}\n' });
    expect(names(spec)).toEqual(['r-nu-1', 'r-nu-2']);
  });

  it('counts cores as ranks × threads, and asks for a whole node where nothing is said', async () => {
    const needs = async (text: string) => (await sweep(text)).groups[0]?.needs;
    expect(await needs('needs: {ranks: 8, threads: 2}')).toMatchObject({ cpus: 16, ranks: 8, threads: 2 });
    expect(await needs('needs: {ranks: 8}')).toMatchObject({ cpus: 8, ranks: 8, threads: 1 });
    expect(await needs('needs: {cpus: 3, memory: 1.5G, disk: 20G, gpus: 1}')).toMatchObject({
      cpus: 3,
      ranks: 0,
      memoryBytes: 1.5 * 2 ** 30,
      diskBytes: 20 * 2 ** 30,
      gpus: 1,
    });
    expect(await needs('needs: ["openfoam>=1912", python3]')).toMatchObject({
      cpus: 0,
      capabilities: [{ name: 'openfoam', comparison: '>=', version: '1912' }, { name: 'python3' }],
    });
    expect(await needs('')).toMatchObject({ cpus: 0, capabilities: [] });
  });

  it('builds where every job can run, unless the build says what it needs', async () => {
    const jobs = 'jobs:\n  - {name: a, run: x, needs: [gfortran, mpi]}\n  - {name: b, run: x, needs: [mpi, python3]}\n';
    const { spec } = await resolveFolder({ 'labrun.yaml': `name: a\nbuild: {run: make}\n${jobs}` });
    expect(spec.build).toMatchObject({ needs: { capabilities: [{ name: 'mpi' }], cpus: 0 }, timeLimitMs: 3_600_000 });
    const stated = await resolveFolder({
      'labrun.yaml': `name: a\nbuild: {run: [make, -j], needs: {cpus: 1}, timeLimit: 5m}\n${jobs}`,
    });
    expect(stated.spec.build).toMatchObject({
      needs: { capabilities: [], cpus: 1 },
      timeLimitMs: 300_000,
      runtime: { run: { kind: 'argv', argv: ['make', '-j'] } },
    });
  });

  it('is read with another name, and for some of its rows', async () => {
    const files = {
      'labrun.yaml':
        'name: a\njobs:\n  - {name: r, run: x, matrix: {nu: [1, 2], mesh: [a, b]}}\n  - {name: other, run: y}\n',
    };
    const where = [
      { axis: 'nu', value: '2' },
      { axis: 'mesh', value: 'b' },
    ];
    const { spec } = await resolveFolder(files, { name: 'again', where });
    expect(spec.name).toBe('again');
    expect(names(spec)).toEqual(['r-nu-2_mesh-b']);
  });

  it('shows every key at work, in one example', async () => {
    const example = `
name: airfoil
namespace: cfd
env: {FOAM_SIGFPE: "1"}
build: {run: wmake solver/, files: [solver/]}
jobs:
  - name: run
    matrix:
      nu: [1e-5, 0.010]
      mesh: [coarse, fine]
      exclude: [{nu: 0.010, mesh: fine}]
    needs: {capabilities: [openfoam>=1912], ranks: 8, memory: 8G, disk: 20G}
    files: [case/, "meshes/{{mesh}}.msh"]
    templates: [case/constant/transportProperties]
    run: |
      mpirun -np $LABRUN_RANKS simpleFoam -case case -parallel | tee log
    archive: [case/postProcessing/, log]
    expect: [case/postProcessing/forces.dat]
    timeLimit: 2h
    retries: 1
  - {name: polar, needs: {capabilities: [python3], cpus: 1}, files: [polar.py], run: python3 polar.py $LABRUN_INPUT}
`;
    const files = {
      'solver/Make': '',
      'case/constant/transportProperties': '{{nu}}',
      'meshes/coarse.msh': '',
      'meshes/fine.msh': '',
      'polar.py': '',
    };
    const { spec } = await resolveFolder({ ...files, 'labrun.yaml': `\ufeff${example}` });
    expect(names(spec)).toEqual([
      'run-nu-1e-5_mesh-coarse',
      'run-nu-1e-5_mesh-fine',
      'run-nu-0.010_mesh-coarse',
      'polar',
    ]);
    expect(spec.groups[0]).toMatchObject({
      archive: ['case/postProcessing/', 'log'],
      expect: ['case/postProcessing/forces.dat'],
      templates: ['case/constant/transportProperties'],
      timeLimitMs: 7_200_000,
      retries: 1,
      needs: { capabilities: [{ name: 'openfoam', comparison: '>=', version: '1912' }], ranks: 8, threads: 1, cpus: 8 },
    });
  });

  it('reads YAML anchors and what they share', async () => {
    const { spec } = await resolveFolder({
      'labrun.yaml':
        'name: a\njobs:\n  - {name: a, run: &cmd "echo hi", matrix: {nu: &nu [0.10, 2]}}\n  - {name: b, run: *cmd, matrix: {nu: *nu}}\n',
    });
    expect(names(spec)).toEqual(['a-nu-0.10', 'a-nu-2', 'b-nu-0.10', 'b-nu-2']);
  });
});

describe('the files of a batch', () => {
  it('found by a pattern may be links to files, and not to folders', async () => {
    const files = { 'labrun.yaml': labrunWith('files: ["in/*"]'), 'in/a': { link: '../real' }, real: 'r', 'dir/x': '' };
    const { spec } = await resolveFolder(files);
    expect(spec.sources['in/*']).toMatchObject([{ kind: 'file', path: 'a', hash: hashBytes('r') }]);
    const folders = await resolveFolder({ ...files, 'in/sub/deep/x': '', 'in/.hidden': '' });
    expect(paths(folders.spec, 'in/*')).toEqual(['a', 'sub/', 'sub/deep/', 'sub/deep/x']);
    const wrong = resolveFolder({ ...files, 'in/b': { link: '../dir' } });
    await expect(wrong).rejects.toThrow('"b" is a link to a folder; name that folder itself');
  });

  it('are found as files, folders and patterns, hashed once, with their modes', async () => {
    const { spec, files } = await resolveFolder({
      'labrun.yaml': labrunWith('files: [case/, ./run.sh, "data/*.dat", "data/**/*.deep", {path: run.sh, as: bin/}]'),
      'case/system/controlDict': 'same',
      'case/empty/': '',
      'run.sh': { program: 'same' },
      'data/b.dat': 'b',
      'data/a.dat': 'a',
      'data/sub/c.deep': 'c',
    });
    expect(spec.groups[0]?.inputs).toEqual([
      { source: 'case/', as: 'case' },
      { source: 'run.sh', as: 'run.sh' },
      { source: 'data/*.dat', as: 'data' },
      { source: 'data/**/*.deep', as: 'data' },
      { source: 'run.sh', as: 'bin/run.sh' },
    ]);
    expect(paths(spec, 'case/')).toEqual(['/', 'empty/', 'system/', 'system/controlDict']);
    expect(paths(spec, 'data/*.dat')).toEqual(['a.dat', 'b.dat']);
    expect(paths(spec, 'data/**/*.deep')).toEqual(['sub/c.deep']);
    expect(spec.sources['run.sh']).toEqual([
      { kind: 'file', path: '', hash: hashBytes('same'), sizeBytes: 4, mode: 0o755 },
    ]);
    expect([...files.keys()].sort()).toEqual(['a', 'b', 'c', 'same'].map((text) => hashBytes(text)).sort());
    expect(files.get(hashBytes('b'))).toMatchObject({ sizeBytes: 1, path: expect.stringMatching(/data\/b\.dat$/) });
  });

  it('depend on the axes, each looked at once', async () => {
    const spec = await sweep(
      'matrix: {mesh: [a, b], nu: [1, 2, 3]}\nfiles: [{path: "{{mesh}}.msh", as: mesh}, "{{mesh}}/*.dat"]\ntemplates: [mesh]',
      { 'a.msh': 'A', 'b.msh': 'B', 'a/1.dat': '', 'b/2.dat': '' },
    );
    expect(Object.keys(spec.sources).sort()).toEqual(['a.msh', 'a/*.dat', 'b.msh', 'b/*.dat']);
    expect(spec.groups[0]?.inputs).toEqual([
      { source: '{{mesh}}.msh', as: 'mesh' },
      { source: '{{mesh}}/*.dat', as: '{{mesh}}' },
    ]);
  });

  it('may be asked for twice, as long as it is the same file', async () => {
    const { spec } = await resolveFolder({
      'labrun.yaml': labrunWith('files: [case/, case/a, "case/*", {path: case/a, as: b}]'),
      'case/a': 'x',
    });
    expect(spec.groups[0]?.inputs).toHaveLength(4);
  });

  it('keep links that stay inside their folder, and follow one that was named itself', async () => {
    const { spec } = await resolveFolder({
      'labrun.yaml': labrunWith('files: [case/, link]'),
      'case/real/x': 'x',
      'case/alias': { link: 'real/x' },
      'case/real/up': { link: '../real' },
      link: { link: 'case/real/x' },
    });
    expect(spec.sources['case/']).toContainEqual({ kind: 'link', path: 'alias', target: 'real/x' });
    expect(spec.sources['case/']).toContainEqual({ kind: 'link', path: 'real/up', target: '../real' });
    expect(spec.sources['link']).toMatchObject([{ kind: 'file', hash: hashBytes('x') }]);
  });

  it('may come from elsewhere under a name of their own', async () => {
    const folder = jobFolder({
      'deep/labrun.yaml': labrunWith('files: [{path: ../shared/x, as: x}, {path: ../shared/, as: all}]'),
      'shared/x': '1',
    });
    const { spec } = await resolveJobFile(join(folder, 'deep/labrun.yaml'), { user: 'kim' });
    expect(paths(spec, '../shared/')).toEqual(['/', 'x']);
  });

  it('tell how far their hashing is', async () => {
    const seen: { bytes: number; bytesTotal: number; files: number }[] = [];
    await resolveFolder(
      { 'labrun.yaml': labrunWith('files: [big, small]'), big: 'x'.repeat(3_000_000), small: 'y' },
      { onHashed: (progress) => seen.push(progress) },
    );
    expect(seen.at(-1)).toEqual({ files: 2, filesTotal: 2, bytes: 3_000_001, bytesTotal: 3_000_001 });
  });

  it('are left alone when the reader is told to stop', async () => {
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    const reading = resolveFolder({ 'labrun.yaml': labrunWith('files: [a]'), a: 'x' }, { signal: controller.signal });
    await expect(reading).rejects.toThrow('enough');
  });
});

describe('a distribute-jobs.yaml', () => {
  const shots: Readonly<Record<string, Content>> = {
    'build.py': 'b',
    'run.py': 'r',
    'x.json': 'x',
    'deep/y.json': 'y',
    'i.sif': 's',
  };

  it('of python becomes a build, initial files, and one job each', async () => {
    const { spec } = await resolveFolder(
      {
        ...shots,
        'distribute-jobs.yaml': `
meta: {batch_name: b, namespace: n, capabilities: [gfortran, python3], matrix: "@kim:lab.org"}
python:
  initialize: {build_file: {path: build.py}, required_files: [{path: x.json}, {path: deep/y.json, alias: z.json}]}
  jobs:
    - {name: one, file: {path: run.py, alias: main.py}, required_files: [deep/y.json], slurm: {time: 00:01:00, mem_per_cpu: 10M, other: [1]}}
    - {name: two, file: run.py}
slurm: {job_name: a, nodes: 1, ntasks: 4}
`,
      },
      { file: 'distribute-jobs.yaml' },
    );
    expect(spec).toMatchObject({
      origin: 'distribute',
      name: 'b',
      namespace: 'n',
      features: ['runtime.python'],
      notify: ['matrix:@kim:lab.org'],
      build: { runtime: { kind: 'python', script: { source: 'build.py', as: 'build.py' } }, inputs: [] },
      initialInputs: [
        { source: 'x.json', as: 'x.json' },
        { source: 'deep/y.json', as: 'z.json' },
      ],
      groups: [
        {
          name: 'one',
          runtime: { kind: 'python', script: { source: 'run.py', as: 'main.py' } },
          inputs: [{ source: 'deep/y.json', as: 'y.json' }],
          needs: { cpus: 0, capabilities: [{ name: 'gfortran' }, { name: 'python3' }] },
        },
        { name: 'two', inputs: [] },
      ],
    });
    expect(Object.keys(spec.sources).sort()).toEqual(['build.py', 'deep/y.json', 'run.py', 'x.json']);
  });

  it('of apptainer becomes an image with mounts, and no build', async () => {
    const { spec } = await resolveFolder(
      {
        ...shots,
        'distribute-jobs.yaml': `
meta: {batch_name: b, namespace: n, capabilities: []}
apptainer:
  initialize: {sif: i.sif, required_files: [x.json], required_mounts: [/work]}
  jobs: [{name: one, required_files: [{path: deep/y.json, alias: x.json}]}, {name: two}]
`,
      },
      { file: 'distribute-jobs.yaml' },
    );
    expect(spec.build).toBeUndefined();
    expect(spec.groups).toMatchObject([
      { runtime: { kind: 'apptainer', image: { source: 'i.sif', as: 'i.sif' }, mounts: ['/work'] } },
      { name: 'two' },
    ]);
  });
});

describe('a sweep of 100,000 jobs', () => {
  it('is resolved within the time a submit has for it, from axes', async () => {
    const numbers = (size: number) => Array.from({ length: size }, (_, at) => at).join(', ');
    const started = performance.now();
    const spec = await sweep(`matrix: {a: [${numbers(400)}], b: [${numbers(250)}]}`);
    expect(performance.now() - started).toBeLessThan(6_000);
    expect(specIndexByName(spec).size).toBe(100_000);
  });

  it('and from a table', async () => {
    const rows = Array.from({ length: 100_000 }, (_, at) => `${at},${createHash('md5').update(`${at}`).digest('hex')}`);
    const started = performance.now();
    const spec = await sweep('matrix: {from: p.csv}', { 'p.csv': `a,b\n${rows.join('\n')}\n` });
    expect(performance.now() - started).toBeLessThan(15_000);
    expect(spec.groups[0]?.count).toBe(100_000);
  });
});

async function sweep(job: string, files: Readonly<Record<string, Content>> = {}): Promise<BatchSpec> {
  return (await resolveFolder({ 'labrun.yaml': labrunWith(job), ...files })).spec;
}

function labrunWith(job: string): string {
  return `name: sweep\njobs:\n  - name: run\n    run: "true"\n${job.replace(/^/gm, '    ')}\n`;
}

function names(spec: BatchSpec): string[] {
  const count = spec.groups.reduce((sum, group) => sum + group.count, 0);
  return Array.from({ length: count }, (_, at) => locateJob(spec, at).name);
}

function axis(spec: BatchSpec): readonly string[] {
  return spec.groups[0]?.matrix?.axes[0]?.values ?? [];
}

/** What a source stands for; folders end with `/`. */
function paths(spec: BatchSpec, source: string): string[] {
  return (spec.sources[source] ?? []).map((entry) => (entry.kind === 'folder' ? `${entry.path}/` : entry.path)).sort();
}
