import type { Matrix } from '../spec.ts';

/** Rows of value indices while a matrix is put together. A product stays implicit until a row of it is dropped or added. */
export class Rows {
  readonly names: readonly string[];
  readonly #values: string[][];
  readonly #indices: Map<string, number>[];
  #rows: number[][] | undefined;

  private constructor(names: readonly string[], values: string[][], rows: number[][] | undefined) {
    this.names = names;
    this.#values = values;
    this.#indices = values.map((list) => new Map(list.map((value, at) => [value, at])));
    this.#rows = rows;
  }

  /** All combinations, the last axis changing fastest. */
  static product(axes: Matrix['axes']): Rows {
    return new Rows(
      axes.map(({ name }) => name),
      axes.map(({ values }) => [...values]),
      undefined,
    );
  }

  /** No rows yet. */
  static explicit(names: readonly string[]): Rows {
    return new Rows(
      names,
      names.map(() => []),
      [],
    );
  }

  get count(): number {
    return this.#rows?.length ?? this.#values.reduce((product, values) => product * values.length, 1);
  }

  axes(): Matrix['axes'] {
    return this.names.map((name, at) => ({ name, values: this.#values[at] ?? [] }));
  }

  /** The rows, unless they are the whole product. */
  picked(): readonly (readonly number[])[] | undefined {
    return this.#rows;
  }

  /** Adds a row of values, in the order of the names. */
  add(values: readonly string[]): void {
    const rows = this.#explicit();
    rows.push(values.map((value, at) => this.#indexOf(at, value)));
  }

  /** Drops the rows that agree with all of these. */
  drop(pattern: ReadonlyMap<string, string>): void {
    const agrees = this.#matcher(pattern);
    this.#rows = this.#explicit().filter((row) => !agrees(row));
  }

  /** Keeps only the rows that agree with all of these. */
  keep(pattern: ReadonlyMap<string, string>): void {
    this.#rows = this.#explicit().filter(this.#matcher(pattern));
  }

  #matcher(pattern: ReadonlyMap<string, string>): (row: readonly number[]) => boolean {
    const wanted = [...pattern].map(([name, value]): [number, number] => {
      const axis = this.names.indexOf(name);
      return [axis, this.#indices[axis]?.get(value) ?? -1];
    });
    return (row) => wanted.every(([axis, index]) => row[axis] === index);
  }

  #indexOf(axis: number, value: string): number {
    const known = this.#indices[axis]?.get(value);
    if (known !== undefined) return known;
    const values = this.#values[axis] ?? [];
    values.push(value);
    this.#indices[axis]?.set(value, values.length - 1);
    return values.length - 1;
  }

  #explicit(): number[][] {
    if (this.#rows !== undefined) return this.#rows;
    let rows: number[][] = [[]];
    for (const values of this.#values) rows = rows.flatMap((row) => values.map((_, index) => [...row, index]));
    this.#rows = rows;
    return rows;
  }
}
