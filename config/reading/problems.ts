/** Where in a written tree: keys and list positions from the root. */
export type Path = readonly (string | number)[];

/** One thing that is wrong in a file somebody wrote. Lines and columns count from 1. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** `jobs[0].files[2]`; empty for the file as a whole. */
  readonly path: string;
  /** What was found, what was expected, what to do. */
  readonly message: string;
  /** The first generated job it concerns. */
  readonly job?: string;
}

/** Everything that is wrong with what somebody wrote, all at once, in the order of the file. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    const sorted = [...problems].sort(byPlace);
    const lines = sorted.slice(0, shownMax).map(lineOf);
    if (sorted.length > shownMax) lines.push(`… and ${sorted.length - shownMax} more like these`);
    super(lines.join('\n'));
    this.problems = sorted;
  }
}

/** Most problems that a message spells out. A sweep with one mistake in 10,000 rows is told once a screen. */
const shownMax = 50;
/** Most problems that are kept; past it a file is so wrong that more tells nobody anything. */
export const problemsMax = 1_000;

/** `jobs[0].files[2]`. */
export function pathText(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

/** One problem as one line: `labrun.yaml:4:9: jobs[0].files[2]: …`. */
export function lineOf(problem: Problem): string {
  const path = problem.path === '' ? '' : `${problem.path}: `;
  const job = problem.job === undefined ? '' : ` (job "${problem.job}")`;
  return `${problem.file}:${problem.line}:${problem.column}: ${path}${problem.message}${job}`;
}

function byPlace(a: Problem, b: Problem): number {
  return Number(a.file > b.file) - Number(a.file < b.file) || a.line - b.line || a.column - b.column;
}
