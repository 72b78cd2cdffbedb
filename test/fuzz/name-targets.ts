import { normalize } from 'node:path';
import fc from 'fast-check';
import { RefusedError } from '../../base/errors.ts';
import { nameProblem, relativePathProblem } from '../../base/names.ts';
import { type ManifestEntry, manifestEntries, manifestLine, readManifest } from '../../base/transfer/manifest.ts';
import { planPull } from '../../cli/pull-files.ts';
import { readSelector, readWhere } from '../../cli/selector.ts';
import { readFilter } from '../../head/archive/patterns.ts';
import { nameMatcher, readSelection } from '../../head/select.ts';
import { ArchivedFileKind } from '../../proto/gen/labrun/v1/archive.ts';
import type { Target } from './targets.ts';

const hash = `blake3:${'0'.repeat(64)}`;
const bytes = (text: string) => Buffer.from(text);
const textOf = (input: Uint8Array) => Buffer.from(input).toString('utf8');
const part = fc.oneof(fc.constantFrom('a', 'b', '..', '.', '', '.labrun', 'log', 'A'), fc.string({ maxLength: 6 }));
const path = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));
const number = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(0, 1e18, -1, 2 ** 53, 0o7777));
const entry = fc.record({
  path,
  kind: fc.constantFrom('file', 'folder', 'link', 'other'),
  size: number,
  mode: number,
  hash: fc.constantFrom(hash, ''),
  target: path,
});
const globPart = fc.constantFrom('*', '?', 'a', 'aa', '[a-z]', '{a,b}', '!', '**', 'b', '(', ')', '\\', '/', '+', '@(');
const glob = fc.array(globPart, { maxLength: 24 }).map((parts) => bytes(parts.join('')));

/** Names, paths, manifests, selectors and patterns: what decides where a file goes and what a request means. */
export function nameTargets(): Target[] {
  return [
    {
      name: 'manifest',
      seeds: [bytes(manifestSeed)],
      shaped: fc
        .array(entry, { maxLength: 8 })
        .map((all) => bytes(all.map((one) => `${JSON.stringify(one)}\n`).join(''))),
      run: checkManifest,
    },
    {
      name: 'path',
      seeds: ['a/b', '../a', '/a', 'a//b', '.labrun/log'].map(bytes),
      shaped: path.map(bytes),
      run: checkPath,
    },
    { name: 'selector', seeds: ['ns/b/j*', 'b/*a*a*b', 'a=b'].map(bytes), shaped: glob, run: checkSelector },
    { name: 'pattern', seeds: ['\\.csv$', '(a|b)+c', 'a*a*a*b'].map(bytes), shaped: glob, run: checkPattern },
  ];
}

const manifestSeed = [
  { path: 'd', kind: 'folder', mode: 493 },
  { path: 'd/f', kind: 'file', size: 3, mode: 420, hash },
  { path: 'd/l', kind: 'link', target: 'f' },
  { path: '.labrun/log', kind: 'file', size: 0, mode: 420, hash },
]
  .map((one) => `${JSON.stringify(one)}\n`)
  .join('');

/** Both readers agree on any cut into chunks, nothing accepted leaves its folder, and it is written as it was read. */
async function checkManifest(input: Uint8Array): Promise<void> {
  const whole = await outcome(async () => manifestEntries(input));
  const cut = await outcome(async () => {
    const entries: ManifestEntry[] = [];
    for await (const one of readManifest([input.subarray(0, 7), input.subarray(7)])) entries.push(one);
    return entries;
  });
  if ((whole === undefined) !== (cut === undefined)) throw new Error('The two readers of manifests disagree');
  for (const { path: at } of whole ?? []) staysInside(at);
  const written = (whole ?? []).map(manifestLine).join('');
  if (whole && manifestEntries(Buffer.from(written)).map(manifestLine).join('') !== written) {
    throw new Error('A manifest is not written as it was read');
  }
}

async function checkPath(input: Uint8Array): Promise<void> {
  const text = textOf(input);
  if (relativePathProblem(text) === undefined) staysInside(text);
  if (nameProblem(text) === undefined && /[/\\\0\s\p{Cc}]/u.test(text)) throw new Error('A name holds what none may');
  const file = {
    job: 'j',
    path: text,
    kind: ArchivedFileKind.FOLDER,
    size: 0n,
    mode: 0,
    hash: '',
    linkTarget: '',
    modifiedAtMs: 0n,
  };
  const plan = await outcome(() => planPull('/nowhere/root', [file]));
  for (const placed of plan?.folders ?? []) {
    if (!placed.path.startsWith('/nowhere/root/j/')) throw new Error(`A pull leaves its folder: ${placed.path}`);
  }
}

function checkSelector(input: Uint8Array): void {
  const text = textOf(input);
  for (const job of [text, `${text}*`]) {
    const selection = readSelection({ namespace: '', batch: 'b', job, states: [], reasons: [], where: [] }, 'kim');
    if ('kind' in selection) continue;
    const matches = nameMatcher(selection.job);
    for (const name of ['a', 'a'.repeat(120), `${'ab'.repeat(59)}c`]) matches(name);
  }
  if (text.includes('=')) readWhere(text);
  for (const selector of readSelector(text, {})) readSelection(selector, 'kim');
}

function checkPattern(input: Uint8Array): void {
  const filter = readFilter([textOf(input)], []);
  if (typeof filter === 'object') return;
  filter(`batch/job/${'a'.repeat(1_200)}`);
  filter(`batch/job/${'ab/'.repeat(400)}`);
}

function staysInside(path: string): void {
  if (path.startsWith('/') || normalize(`root/${path}`).split('/')[0] !== 'root') {
    throw new Error(`A path that leaves its folder was accepted: ${JSON.stringify(path)}`);
  }
}

/** What comes of it, or nothing for a refusal. */
async function outcome<Value>(act: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof RefusedError) return undefined;
    throw error;
  }
}
