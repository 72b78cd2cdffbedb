import { expect, it } from 'vitest';
import { Fault } from '../../../base/errors.ts';
import { stageProblem } from '../../../node-agent/effects/stage.ts';

it('what the machine lacks is no failure of the job: it is given back', () => {
  const system = (code: string) => Object.assign(new Error(code), { code });
  const faults = [new Fault('supervisor-failed', 'its shell was killed'), new Fault('exhausted', 'no more processes')];
  for (const error of [...faults, system('EMFILE'), system('EIO')])
    expect(stageProblem(error)).toMatchObject({ kind: 'stage-returned', reason: 'staging-failed' });
  for (const error of [new Fault('disk-full', 'full'), system('ENOSPC'), system('EROFS')])
    expect(stageProblem(error)).toMatchObject({ kind: 'stage-returned', reason: 'disk-full' });
});

it('what the job asks for and cannot have is its failure', () => {
  const error = new Fault('invalid-input', 'Cannot lay out "in": the batch does not hold it');
  expect(stageProblem(error)).toEqual({ kind: 'stage-failed', message: error.message });
});
