import { describe, expect, it } from 'vitest';
import { schemas } from '../../scripts/schema.ts';

describe('the JSON Schemas for editors', () => {
  it('are made for every file people write', () => {
    expect(Object.keys(schemas()).sort()).toEqual(['agent', 'distribute-jobs', 'head', 'labrun']);
  });

  it('know the keys of a job, refuse others, and leave out what is not for now', () => {
    const schema = JSON.parse(JSON.stringify(schemas()['labrun']));
    expect(schema.additionalProperties).toBe(false);
    expect(schema.required).toEqual(['name']);
    const job = schema.properties.jobs.items;
    expect(Object.keys(job.properties)).toEqual(
      expect.arrayContaining([
        'name',
        'matrix',
        'run',
        'files',
        'templates',
        'archive',
        'expect',
        'needs',
        'timeLimit',
      ]),
    );
    expect(job.properties.after).toEqual({ not: {} });
    expect(job.properties.matrix.additionalProperties.items).toEqual({ type: ['string', 'number', 'boolean'] });
    expect(job.required).toEqual(['name', 'run']);
  });

  it('know the keys of distribute, and let anything stand under slurm', () => {
    const schema = JSON.parse(JSON.stringify(schemas()['distribute-jobs']));
    expect(schema.properties.meta.required).toEqual(['batch_name', 'namespace', 'capabilities']);
    expect(schema.properties.slurm.anyOf[0].additionalProperties).toEqual({});
    expect(schema.properties.python.additionalProperties).toBe(false);
  });
});
