import { describe, expect, it } from 'vitest';
import { sampleJobFile, sampleKinds } from '../../config/sample.ts';
import { resolveFolder } from '../kit/job-folder.ts';

describe('the samples of labrun template', () => {
  for (const kind of sampleKinds) {
    it(`are right as they stand: ${kind}`, async () => {
      const { fileName, text, files } = sampleJobFile(kind);
      const folder = Object.fromEntries(files.map((path) => [path, 'x']));
      const { spec } = await resolveFolder({ ...folder, [fileName]: text }, { file: fileName });
      expect(spec.groups.reduce((sum, { count }) => sum + count, 0)).toBe(kind === 'command' ? 3 : 2);
      expect(spec.features).toEqual([`runtime.${kind}`]);
    });

    it(`name every file they need: ${kind}`, async () => {
      const { fileName, text, files } = sampleJobFile(kind);
      for (const left of files) {
        const folder = Object.fromEntries(files.filter((path) => path !== left).map((path) => [path, 'x']));
        const whole = resolveFolder({ ...folder, [fileName]: text }, { file: fileName });
        await expect(whole, left).rejects.toThrow('does not exist');
      }
    });
  }
});
