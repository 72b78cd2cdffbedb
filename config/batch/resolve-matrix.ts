import { resolve } from 'node:path';
import { packCells } from '../matrix.ts';
import { didYouMean } from '../reading/nearest.ts';
import type { Path } from '../reading/problems.ts';
import type { Written } from '../reading/written.ts';
import { jobsMax, type Matrix } from '../spec.ts';
import { axisNameProblem } from './axis.ts';
import { type MatrixEntry, matrixKeys } from './labrun-file.ts';
import { Rows } from './rows.ts';
import { readTable } from './table-file.ts';

/** `--where AXIS=VALUE`: keep the rows that agree. */
export type Where = readonly { readonly axis: string; readonly value: string }[];

/** A group's parameters, and how many jobs they make: none when `where` leaves none, or something is wrong. */
export interface ResolvedMatrix {
  readonly matrix: Matrix | undefined;
  readonly count: number;
}

/**
 * Expands what people wrote to axes and rows. A plain product stays one, however large; whatever picks or adds rows
 * makes them explicit. Tables are looked for beside the job file.
 */
export function resolveMatrix(
  written: Written,
  entry: MatrixEntry | undefined,
  at: Path,
  folder: string,
  where: Where,
): ResolvedMatrix {
  if (entry === undefined) return { matrix: undefined, count: where.length === 0 ? 1 : 0 };
  const known = written.problems.length;
  const rows = readRows(written, entry, at, folder);
  if (rows !== undefined && rows.count > jobsMax) written.problem(at, `makes ${rows.count} jobs (at most ${jobsMax})`);
  if (rows === undefined || written.problems.length > known) return { matrix: undefined, count: 0 };
  for (const [index, pattern] of (entry.exclude ?? []).entries())
    exclude(written, rows, pattern, [...at, 'exclude', index]);
  for (const [index, row] of (entry.include ?? []).entries()) addRow(written, rows, row, [...at, 'include', index]);
  if (rows.count === 0) written.problem(at, 'makes no jobs: no row is left');
  if (rows.count > jobsMax) written.problem(at, `makes ${rows.count} jobs (at most ${jobsMax})`);
  if (written.problems.length > known) return { matrix: undefined, count: 0 };
  if (where.some(({ axis }) => !rows.names.includes(axis))) return { matrix: undefined, count: 0 };
  for (const { axis, value } of where) rows.keep(new Map([[axis, value]]));
  const axes = rows.axes();
  const picked = rows.picked();
  return {
    matrix: picked === undefined ? { axes } : { axes, cells: packCells(picked, axes.length) },
    count: rows.count,
  };
}

function readRows(written: Written, entry: MatrixEntry, at: Path, folder: string): Rows | undefined {
  const named = Object.keys(entry).filter((key) => !matrixKeys.includes(key));
  const ways = [named.length > 0 ? 'axes' : '', entry.rows ? 'rows' : '', entry.from ? 'from' : ''].filter(Boolean);
  if (ways.length > 1) {
    written.problem(at, `states ${ways.join(' and ')}; a matrix is made by one of axes, rows, from`);
    return undefined;
  }
  if (entry.from !== undefined) return fromTable(written, entry.from, [...at, 'from'], folder);
  const explicit = entry.rows ?? (named.length === 0 ? entry.include?.slice(0, 1) : undefined);
  if (explicit !== undefined) return fromRows(written, explicit, at, entry.rows ? 'rows' : 'include');
  checkAxes(written, named, (name) => [...at, name]);
  for (const name of named) {
    const values = axisValues(entry[name]);
    if (values.length === 0) written.problem([...at, name], 'has no values, so the matrix makes no jobs');
    const twice = values.findIndex((value, index) => values.indexOf(value) !== index);
    if (twice !== -1) written.problem([...at, name, twice], `the value ${JSON.stringify(values[twice])} is here twice`);
  }
  if (named.length === 0) written.problem(at, 'makes no jobs: it names no axis');
  return Rows.product(named.map((name) => ({ name, values: axisValues(entry[name]) })));
}

/** The reserved keys have been taken out before: what is left are lists of texts. */
function axisValues(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function fromRows(
  written: Written,
  list: readonly Readonly<Record<string, string>>[],
  at: Path,
  key: 'rows' | 'include',
): Rows | undefined {
  const [first] = list;
  if (first === undefined) {
    written.problem([...at, key], 'makes no jobs: it has no rows');
    return undefined;
  }
  const names = Object.keys(first);
  checkAxes(written, names, (name) => [...at, key, 0, name]);
  const rows = Rows.explicit(names);
  if (key === 'rows') for (const [index, row] of list.entries()) addRow(written, rows, row, [...at, key, index]);
  return rows;
}

function fromTable(written: Written, from: string, at: Path, folder: string): Rows | undefined {
  const table = readTable(resolve(folder, from));
  if (typeof table === 'string') {
    written.problem(at, `"${from}" ${table}`);
    return undefined;
  }
  checkAxes(written, table.header, () => at, `"${from}", line 1: `);
  if (table.rows.length === 0) written.problem(at, `"${from}" makes no jobs: it has a header and no rows`);
  const rows = Rows.explicit(table.header);
  for (const { cells } of table.rows) rows.add(cells);
  return rows;
}

function checkAxes(written: Written, names: readonly string[], placeOf: (name: string) => Path, intro = ''): void {
  const variables = new Map<string, string>();
  for (const name of names) {
    const variable = name.toUpperCase().replace(/[^A-Z0-9]/g, '_');
    const problem = axisNameProblem(name);
    const other = variables.get(variable);
    if (problem !== undefined) written.keyProblem(placeOf(name), `${intro}the axis "${name}" ${problem}`);
    else if (other !== undefined)
      written.keyProblem(placeOf(name), `${intro}the axes "${other}" and "${name}" are both $LABRUN_PARAM_${variable}`);
    variables.set(variable, name);
  }
}

function addRow(written: Written, rows: Rows, row: Readonly<Record<string, string>>, at: Path): void {
  const missing = rows.names.filter((name) => !Object.hasOwn(row, name));
  const extra = Object.keys(row).filter((name) => !rows.names.includes(name));
  if (missing.length > 0) written.problem(at, `lacks the axis ${missing.map((name) => `"${name}"`).join(', ')}`);
  for (const name of extra) {
    written.keyProblem(
      [...at, name],
      `no axis "${name}"${didYouMean(name, rows.names)} (axes: ${rows.names.join(', ')})`,
    );
  }
  if (missing.length + extra.length === 0) rows.add(rows.names.map((name) => row[name] ?? ''));
}

function exclude(written: Written, rows: Rows, pattern: Readonly<Record<string, string>>, at: Path): void {
  const known = written.problems.length;
  if (Object.keys(pattern).length === 0) written.problem(at, 'is empty; name at least one axis and value');
  const axes = new Map(rows.axes().map(({ name, values }) => [name, values]));
  for (const [name, value] of Object.entries(pattern)) {
    const values = axes.get(name);
    if (values === undefined) {
      const hint = `${didYouMean(name, axes.keys())} (axes: ${rows.names.join(', ')})`;
      written.keyProblem([...at, name], `no axis "${name}"${hint}`);
    } else if (!values.includes(value)) {
      const some = values.slice(0, 8).join(', ');
      written.problem([...at, name], `no row has ${name} "${value}" (values as written: ${some})`);
    }
  }
  if (written.problems.length === known) rows.drop(new Map(Object.entries(pattern)));
}
