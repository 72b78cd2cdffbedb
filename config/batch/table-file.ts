import { readFileSync, statSync } from 'node:fs';
import { CsvError, parse } from 'csv-parse/sync';
import { isSystemError, messageOf } from '../../base/errors.ts';
import { formatBytes } from '../units.ts';

/** Largest table of parameters, in bytes. */
const tableMaxBytes = 64 * 2 ** 20;

/** A table of parameters: its header, and its rows with the line each begins on. */
export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly { readonly line: number; readonly cells: readonly string[] }[];
}

/** Reads a CSV file whose first line names the columns; cells are text as written. A text is what is wrong with it. */
export function readTable(path: string): Table | string {
  let text: string;
  try {
    const facts = statSync(path);
    const { size } = facts;
    if (!facts.isFile()) return 'is no file';
    if (size > tableMaxBytes) return `has ${formatBytes(size)} (at most ${formatBytes(tableMaxBytes)})`;
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return 'does not exist';
    return `cannot be read: ${messageOf(error)}`;
  }
  const records = parseRecords(text);
  if (typeof records === 'string') return records;
  const [header, ...rows] = records;
  if (header === undefined) return 'is empty; its first line names the axes';
  if (header.cells.length === 1 && /[;\t]/.test(header.cells[0] ?? ''))
    return 'has one column; separate them by commas';
  for (const row of rows) {
    if (row.cells.length !== header.cells.length) {
      return `line ${row.line}: has ${row.cells.length} of the header's ${header.cells.length} columns`;
    }
    const empty = row.cells.indexOf('');
    if (empty !== -1) return `line ${row.line}, column ${empty + 1} (${header.cells[empty]}): is empty`;
  }
  return { header: header.cells, rows };
}

function parseRecords(text: string): { line: number; cells: string[] }[] | string {
  const records: { line: number; cells: string[] }[] = [];
  let line = 1;
  try {
    parse(text, {
      bom: true,
      trim: true,
      skip_empty_lines: true,
      relax_column_count: true,
      on_record: (cells: string[], { lines }) => {
        line = lines;
        records.push({ line, cells });
        return null; // kept above; the parser need not keep it, too
      },
    });
    return records;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    return `after line ${line}: is no CSV: ${error.message}`;
  }
}
