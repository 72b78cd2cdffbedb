import type { z } from 'zod';
import { didYouMean } from './nearest.ts';
import { type Path, pathText, problemsMax } from './problems.ts';
import type { Written } from './written.ts';

/**
 * The written values in the form of the schema, or nothing; every difference is noted with its place. Values that may
 * be left out without making others look wrong (`droppable` keys, and keys that are unknown or not for now) are left out
 * after they were told, so that readers can tell the rest as well.
 */
export function check<Schema extends z.ZodType>(
  written: Written,
  schema: Schema,
  droppable: ReadonlySet<string> = new Set(),
): z.output<Schema> | undefined {
  const result = schema.safeParse(written.tree);
  if (result.success) return result.data;
  for (const issue of result.error.issues.slice(0, problemsMax)) note(written, issue, []);
  const dropped = new Set(result.error.issues.flatMap((issue) => droppedBy(issue, droppable)));
  const again = schema.safeParse(without(written.tree, dropped, []));
  return again.success ? again.data : undefined;
}

/** The paths that an issue lets us leave out. */
function droppedBy(issue: Issue, droppable: ReadonlySet<string>): string[] {
  const path = issue.path.filter((part) => typeof part !== 'symbol');
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => JSON.stringify([...path, key]));
  const last = path.findIndex((part) => typeof part === 'string' && droppable.has(part));
  const notForNow = issue.code === 'invalid_type' && issue.expected === 'never';
  if (last === -1 && !notForNow) return [];
  return [JSON.stringify(notForNow ? path : path.slice(0, last + 1))];
}

function without(tree: unknown, dropped: ReadonlySet<string>, at: Path): unknown {
  if (Array.isArray(tree)) return tree.map((item, index) => without(item, dropped, [...at, index]));
  if (typeof tree !== 'object' || tree === null) return tree;
  const kept = Object.entries(tree).filter(([key]) => !dropped.has(JSON.stringify([...at, key])));
  return Object.fromEntries(kept.map(([key, value]) => [key, without(value, dropped, [...at, key])]));
}

type Issue = z.core.$ZodIssue;

function note(written: Written, issue: Issue, below: Path): void {
  const path = [...below, ...issue.path.filter((part) => typeof part !== 'symbol')];
  if (issue.code === 'invalid_union') {
    const meant = branchMeant(issue.errors);
    if (meant !== undefined) {
      for (const inner of meant) note(written, inner, path);
      return;
    }
  }
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split('\n');
    for (const key of issue.keys) {
      const hint = didYouMean(key, known) || ` (known: ${known.join(', ')})`;
      written.keyProblem([...path, key], `unknown key "${key}"${hint}`);
    }
    return;
  }
  if (issue.code === 'invalid_key') {
    written.keyProblem(path, issue.issues[0]?.message ?? issue.message);
    return;
  }
  const found = valueAt(written.tree, path);
  // A key whose value broke while it was read has been told already.
  if (found === undefined && written.problems.some((known) => known.path === pathText(path))) return;
  if (path.length === 0 && (found === undefined || found === null)) written.problem([], 'the file is empty');
  else written.problem(path, messageOf(issue, found));
}

/** Of a union's branches the one that got furthest: it took the kind of value and objects to something inside. */
function branchMeant(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  return branches.find((issues) =>
    issues.every((issue) => issue.path.length > 0 || (issue.code !== 'invalid_type' && issue.code !== 'invalid_union')),
  );
}

function messageOf(issue: Issue, found: unknown): string {
  if (issue.code === 'invalid_type' && issue.message.startsWith('Invalid input')) {
    if (found === undefined) return `missing; expected ${kindNames[issue.expected] ?? issue.expected}`;
    return `expected ${kindNames[issue.expected] ?? issue.expected}, found ${describe(found)}`;
  }
  if (issue.code === 'too_small' && issue.message.startsWith('Too small')) {
    if (issue.origin === 'array') return 'is empty; expected at least one entry';
    if (issue.origin === 'string') return 'is empty';
    return `expected at least ${issue.minimum}, found ${describe(found)}`;
  }
  if (issue.code === 'too_big' && issue.message.startsWith('Too big')) {
    return issue.origin === 'array'
      ? `has too many entries (at most ${issue.maximum})`
      : `expected at most ${issue.maximum}, found ${describe(found)}`;
  }
  if (issue.code === 'invalid_value' && issue.message.startsWith('Invalid')) {
    return `expected ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}, found ${describe(found)}`;
  }
  if (found === undefined) return `missing; ${issue.message}`;
  const quoted = issue.message.startsWith('expected') ? `, found ${describe(found)}` : '';
  return `${issue.message}${quoted}`;
}

const kindNames: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping (key: value)',
  record: 'a mapping (key: value)',
};

function describe(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string')
    return `the text ${JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}…` : value)}`;
  return `the ${typeof value} ${String(value)}`;
}

function valueAt(tree: unknown, path: Path): unknown {
  let value = tree;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Object.getOwnPropertyDescriptor(value, part)?.value;
  }
  return value;
}
