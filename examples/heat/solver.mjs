// Heat conduction in the unit square, u_t = a (u_xx + u_yy) with u = 0 on the boundary, by the alternating direction
// method of Peaceman and Rachford: second order in space and time, stable for any time step.

/** A square grid of (cells + 1)² points, row by row. */
export function makeGrid(cells, initial) {
  const points = cells + 1;
  const values = new Float64Array(points * points);
  for (let row = 1; row < cells; row++) {
    for (let column = 1; column < cells; column++) values[row * points + column] = initial(column / cells, row / cells);
  }
  return { cells, points, values };
}

/** Advances the grid by `steps` steps of length `dt`, in place. */
export function advance(grid, diffusivity, dt, steps) {
  const { cells, points, values } = grid;
  const half = new Float64Array(values.length);
  const line = makeLine(cells - 1, (diffusivity * dt * cells * cells) / 2);
  for (let step = 0; step < steps; step++) {
    for (let index = 1; index < cells; index++) sweep(line, values, half, index * points + 1, 1, points);
    for (let index = 1; index < cells; index++) sweep(line, half, values, points + index, points, 1);
  }
}

/** The largest difference between the grid and a function of x and y. */
export function largestError({ cells, points, values }, exact) {
  let largest = 0;
  for (let row = 0; row <= cells; row++) {
    for (let column = 0; column <= cells; column++) {
      const error = Math.abs(values[row * points + column] - exact(column / cells, row / cells));
      largest = Math.max(largest, error);
    }
  }
  return largest;
}

/** The factors of the tridiagonal system of one line are the same for every line and step. */
function makeLine(unknowns, ratio) {
  const upper = new Float64Array(unknowns);
  const inverse = new Float64Array(unknowns);
  for (let at = 0; at < unknowns; at++) {
    inverse[at] = 1 / (1 + 2 * ratio + (at === 0 ? 0 : ratio * upper[at - 1]));
    upper[at] = -ratio * inverse[at];
  }
  return { unknowns, ratio, upper, inverse, work: new Float64Array(unknowns) };
}

/** One line: implicit along `along`, explicit along `across`. */
function sweep({ unknowns, ratio, upper, inverse, work }, from, to, start, along, across) {
  for (let at = 0; at < unknowns; at++) {
    const here = start + at * along;
    const right = from[here] + ratio * (from[here - across] - 2 * from[here] + from[here + across]);
    work[at] = (right + (at === 0 ? 0 : ratio * work[at - 1])) * inverse[at];
  }
  for (let at = unknowns - 1; at >= 0; at--) {
    const next = at === unknowns - 1 ? 0 : to[start + (at + 1) * along];
    to[start + at * along] = work[at] - upper[at] * next;
  }
}
