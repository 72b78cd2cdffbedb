import { rowCount } from '../../config/matrix.ts';
import {
  type BatchSpec,
  type BuildSpec,
  batchSpec,
  type JobGroup,
  type Matrix,
  type Needs,
} from '../../config/spec.ts';

/** A batch with one job `job` that runs `true` on one core. A test states only what matters to it. */
export function aSpec(over: Partial<BatchSpec> = {}): BatchSpec {
  return batchSpec.parse({
    format: 1,
    features: ['runtime.command'],
    origin: 'labrun',
    namespace: 'lab',
    name: 'batch',
    env: {},
    maxRunning: 0,
    sources: {},
    initialInputs: [],
    groups: [aGroup()],
    notify: [],
    ...over,
  });
}

/** A template of jobs; `count` follows from the matrix. */
export function aGroup(over: Partial<JobGroup> = {}): JobGroup {
  return {
    name: over.matrix === undefined ? 'job' : defaultName(over.matrix),
    count: over.matrix === undefined ? 1 : rowCount(over.matrix),
    needs: someNeeds(),
    runtime: { kind: 'command', run: { kind: 'script', text: 'true' } },
    inputs: [],
    templates: [],
    env: {},
    archive: [],
    expect: [],
    timeLimitMs: 0,
    retries: 0,
    ...over,
  };
}

/** A build that runs `true` on one core. */
export function aBuild(over: Partial<BuildSpec> = {}): BuildSpec {
  return {
    runtime: { kind: 'command', run: { kind: 'script', text: 'true' } },
    inputs: [],
    needs: someNeeds(),
    timeLimitMs: 60_000,
    ...over,
  };
}

/** One core of any node. */
export function someNeeds(over: Partial<Needs> = {}): Needs {
  return { capabilities: [], cpus: 1, ranks: 0, threads: 0, memoryBytes: 0, diskBytes: 0, gpus: 0, ...over };
}

/** The product of these axes: `aMatrix({ nu: ['1e-5', '0.10'], mesh: ['coarse'] })`. */
export function aMatrix(axes: Readonly<Record<string, readonly string[]>>): Matrix {
  return { axes: Object.entries(axes).map(([name, values]) => ({ name, values: [...values] })) };
}

function defaultName(matrix: Matrix): string {
  return ['job', ...matrix.axes.map(({ name }) => `${name}-{{${name}}}`)].join('_');
}
