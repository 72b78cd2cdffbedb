import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { AskedWorker } from '../../base/asked-worker.ts';
import { Fault } from '../../base/errors.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import type { HashResult } from '../../base/workers/hash-files.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';

/** The worker that hashes. It takes a list: what is none ends it. */
function aWorker(name = 'hash-files'): AskedWorker<{ readonly files: unknown }, HashResult> {
  const worker = new AskedWorker<{ readonly files: unknown }, HashResult>(name, (why) => new Fault('gone', why));
  onTestFinished(() => worker.close());
  return worker;
}

function aFile(text: string): { readonly path: string; readonly sizeBytes: number } {
  const path = join(scratchFolder(), 'file');
  writeFileSync(path, text);
  return { path, sizeBytes: text.length };
}

it('answers each question with its own results, many at once', async () => {
  const worker = aWorker();
  const texts = Array.from({ length: 50 }, (_, at) => `text ${at}`);
  const answers = await Promise.all(texts.map((text) => worker.ask({ files: [aFile(text), aFile('x')] })));
  expect(answers).toEqual(texts.map((text) => [{ hash: hashBytes(text) }, { hash: hashBytes('x') }]));
});

it('tells all who wait when the worker breaks, and answers the next question, which comes before that has ended', async () => {
  const worker = aWorker();
  const broken = await Promise.allSettled([worker.ask({ files: 'no list' }), worker.ask({ files: [aFile('a')] })]);
  expect(broken).toMatchObject([{ reason: { code: 'gone' } }, { reason: { code: 'gone' } }]);
  expect(await worker.ask({ files: [aFile('b')] })).toEqual([{ hash: hashBytes('b') }]);
});

it('tells whoever waits when it is closed', async () => {
  const worker = aWorker();
  await worker.ask({ files: [aFile('a')] });
  const endless = aFile('');
  truncateSync(endless.path, 2 ** 42); // a hole that takes hours to read
  const waiting = Promise.allSettled([worker.ask({ files: [{ ...endless, sizeBytes: 2 ** 42 }] })]);
  await worker.close();
  expect(await waiting).toMatchObject([{ reason: { code: 'gone' } }]);
});

it('tells whoever asks when it cannot be started', async () => {
  await expect(aWorker('nowhere').ask({ files: [] })).rejects.toMatchObject({ code: 'gone' });
});
