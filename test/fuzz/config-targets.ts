import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { agentFile, readAgentSettings } from '../../config/agent.ts';
import { readCliSettings } from '../../config/cli.ts';
import { headFile, readHeadSettings } from '../../config/head.ts';
import { resolveJobFile } from '../../config/job-file.ts';
import { sampleJobFile, sampleKinds } from '../../config/sample.ts';
import { readSpec } from '../../config/spec-file.ts';
import type { Target } from './targets.ts';

const text = (value: string) => Buffer.from(value);
const words = ['name', 'namespace', 'jobs', 'job', 'matrix', 'rows', 'from', 'files', 'needs', 'cpus', 'run', 'env'];
const keys = fc.constantFrom(
  ...words,
  'build',
  'retries',
  'meta',
  'python',
  'batch_name',
  'apptainer',
  'initialize',
  'x',
);
const tree = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    fc.oneof(
      fc.string(),
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constantFrom(null, 'j', 'data.txt', '{{x}}', '2h'),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(keys, tie('value'), { maxKeys: 6 }),
  ),
})).value;
const shapedJson = tree.map((value) => text(JSON.stringify(value) ?? 'null'));

/** The readers of what people write: job files of both kinds, the resolved spec, and the three settings files. */
export function configTargets(repository: string, scratch: string): Target[] {
  const folder = join(scratch, 'a/b/c/d/e/f/g/h');
  const inputs = sampleKinds.flatMap((kind) => sampleJobFile(kind).files);
  for (const path of [...inputs, 'data.txt', 'table.csv']) {
    const whole = join(folder, path.endsWith('/') ? `${path}x` : path);
    mkdirSync(dirname(whole), { recursive: true });
    writeFileSync(whole, path.endsWith('.csv') ? 'x,y\n1,2\n3,4\n' : 'x');
  }
  const examples = readdirSync(join(repository, 'examples'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.yaml'))
    .map((path) => readFileSync(join(repository, 'examples', path)));
  const samples = sampleKinds.map((kind) => text(sampleJobFile(kind).text));
  const jobFile = (name: string, fileName: string, seeds: readonly Uint8Array[]): Target => ({
    name,
    seeds,
    shaped: shapedJson,
    async run(input) {
      writeFileSync(join(folder, fileName), confined(input));
      const { spec, specBytes } = await resolveJobFile(join(folder, fileName), { user: 'kim' });
      const again = readSpec(specBytes);
      if ('kind' in again) throw new Error(`What was resolved is not read again: ${again.message}`);
      if (!isDeepStrictEqual(again, spec)) throw new Error('The spec changed');
    },
  });
  const settings = (name: string, seeds: readonly string[], run: (path: string) => Promise<unknown>): Target => ({
    name,
    seeds: seeds.map(text),
    shaped: fc.dictionary(fc.constantFrom(...settingNames), tree).map((value) => text(JSON.stringify(value))),
    async run(input) {
      const path = join(folder, 'head.yaml');
      writeFileSync(path, input);
      await run(path);
    },
  });
  return [
    jobFile('labrun-yaml', 'labrun.yaml', [...samples, ...examples]),
    jobFile('distribute-yaml', 'distribute-jobs.yaml', [...samples, ...examples]),
    jobFile('job-json', 'labrun.json', [text('{"name":"n","jobs":[{"name":"j","run":"true","files":["data.txt"]}]}')]),
    {
      name: 'spec',
      seeds: [text(specSeed)],
      shaped: shapedJson,
      run: (input) => void readSpec(input),
    },
    settings('head-settings', ['archive: a\ngrpc: 127.0.0.1:1\nheartbeat: 5s\ndiskReserve: 1G\n'], () =>
      readHeadSettings(folder),
    ),
    settings('agent-settings', [agentSeed], (path) => readAgentSettings(path, { required: true })),
    settings('cli-settings', ['head: 127.0.0.1:1\ncolour: never\n'], (path) =>
      readCliSettings({ LABRUN_CONFIG: path }, folder),
    ),
  ];
}

const settingNames = [...Object.keys(headFile.shape), ...Object.keys(agentFile.shape), 'head', 'token', 'colour'];
const agentSeed =
  'name: n1\ncpus: 2\nmemory: 1G\nkillGrace: 10s\ncapabilities: {openfoam: {version: 1.10, setup: "true", env: {A: 1}}}\n';
const specSeed =
  '{"version":1,"origin":"labrun","name":"n","namespace":"t","maxRunning":0,"sources":{},"groups":[{"name":"j","count":1}]}';

/** The input, unable to name files out of the scratch folder: a fuzzer must not hash the disk it runs on. */
function confined(input: Uint8Array): string {
  return Buffer.from(input)
    .toString('utf8')
    .replace(/(^|[^A-Za-z0-9_.{}])\/+/g, '$1')
    .replace(/(\.\.\/){4,}/g, '../')
    .replace(/\\(?=[xuU/])/g, '');
}
