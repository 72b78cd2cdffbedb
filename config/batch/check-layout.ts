import { posix } from 'node:path';
import { relativePathProblem } from '../../base/names.ts';
import { didYouMean } from '../reading/nearest.ts';
import type { Path } from '../reading/problems.ts';
import type { Written } from '../reading/written.ts';
import type { BatchSpec, JobGroup } from '../spec.ts';
import { jobNameOf, renderText } from '../template.ts';
import { combinations } from './combinations.ts';
import type { Draft, DraftGroup, DraftInput } from './draft.ts';

/**
 * Lays every job out on paper: no two files with one name, nothing outside of its folder, and every template among the
 * files. Done once for each combination of the axes that file names depend on, not once for each job.
 */
export function checkLayout(written: Written, draft: Draft, sources: BatchSpec['sources']): void {
  new Layout(written, sources).add(draft.buildInputs, {}, undefined);
  new Layout(written, sources).add(draft.initialInputs, {}, undefined);
  for (const entry of draft.groups) checkGroup(written, entry, sources);
}

function checkGroup(written: Written, { group, at, inputs: all }: DraftGroup, sources: BatchSpec['sources']): void {
  const inputs = all.filter(({ place }) => place === 'inputs');
  const varying = inputs.filter(({ source, as }) => source.includes('{{') || as.includes('{{'));
  const still = new Layout(written, sources);
  still.add(
    inputs.filter((input) => !varying.includes(input)),
    {},
    undefined,
  );
  const known = written.problems.length;
  const texts = [...varying.flatMap(({ source, as }) => [source, as]), ...group.templates];
  for (const { params } of combinations(group.matrix, texts)) {
    const layout = new Layout(written, sources, still);
    const job = group.matrix === undefined ? undefined : jobNameOf(group, params);
    layout.add(varying, params, job);
    const complete = inputs.every(({ source }) => (sources[renderText(source, params)]?.length ?? 0) > 0);
    if (complete) checkTemplates(written, layout, group, params, at, job);
    // What is wrong for one job is mostly wrong for all: the first tells enough.
    if (written.problems.length > known) return;
  }
}

function checkTemplates(
  written: Written,
  layout: Layout,
  group: JobGroup,
  params: Readonly<Record<string, string>>,
  at: Path,
  job: string | undefined,
): void {
  for (const [index, template] of group.templates.entries()) {
    const path = posix.normalize(renderText(template, params));
    if (layout.at(path)?.kind === 'file' || path.includes('{{')) continue;
    const near = didYouMean(path, layout.files());
    written.problem([...at, 'templates', index], `"${path}" is not among the files of the job${near}`, job);
  }
}

interface Claim {
  readonly kind: 'file' | 'folder' | 'link';
  readonly input: DraftInput;
  /** Where the content comes from: the same file asked for twice is no clash. */
  readonly from: string;
}

/** Who claims which path. A layout may lie over another one, which it leaves as it is. */
class Layout {
  readonly #written: Written;
  readonly #sources: BatchSpec['sources'];
  readonly #below: Layout | undefined;
  readonly #claims = new Map<string, Claim>();

  constructor(written: Written, sources: BatchSpec['sources'], below?: Layout) {
    this.#written = written;
    this.#sources = sources;
    this.#below = below;
  }

  add(inputs: readonly DraftInput[], params: Readonly<Record<string, string>>, job: string | undefined): void {
    for (const input of inputs) {
      const as = renderText(input.as, params);
      const problem = as === '' ? undefined : relativePathProblem(as);
      if (problem !== undefined) {
        if (as !== input.as) this.#written.problem(input.at, `"${as}" ${problem}`, job); // else told by its reader
        continue;
      }
      const source = renderText(input.source, params);
      const base = input.glob === undefined ? source : renderText(input.glob.base, params);
      for (const entry of this.#sources[source] ?? []) {
        const claim = { kind: entry.kind, input, from: posix.join(base, entry.path) };
        if (!this.#claim(posix.join(as, entry.path), claim, job)) break; // one sentence an input is enough
      }
    }
  }

  at(path: string): Claim | undefined {
    return this.#claims.get(path) ?? this.#below?.at(path);
  }

  *files(): Iterable<string> {
    if (this.#below) yield* this.#below.files();
    for (const [path, { kind }] of this.#claims) if (kind === 'file') yield path;
  }

  #claim(path: string, claim: Claim, job: string | undefined): boolean {
    const there = this.at(path);
    if (there?.kind === claim.kind && there.from === claim.from) return true;
    if (there !== undefined && (there.kind !== 'folder' || claim.kind !== 'folder')) {
      const both = there.kind === 'folder' || claim.kind === 'folder' ? 'a folder and a file' : 'two files';
      const other = there.input.source === claim.input.source ? 'an entry before' : `"${there.input.source}"`;
      this.#written.problem(
        claim.input.at,
        `${both} would be called "${path}": this one, and ${other}; give one another name`,
        job,
      );
      return false;
    }
    if (there !== undefined) return true;
    this.#claims.set(path, claim);
    const parent = posix.dirname(path);
    return parent === '.' || parent === path || this.#claim(parent, { ...claim, kind: 'folder' }, job);
  }
}
