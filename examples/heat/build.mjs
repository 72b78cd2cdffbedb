// Makes a node ready: shows that the solver converges as it should here, and writes the colour table of the pictures.
import { writeFileSync } from 'node:fs';
import { advance, largestError, makeGrid } from './solver.mjs';

const endTime = 0.05;
const decay = Math.exp(-2 * Math.PI ** 2 * endTime);
const exact = (x, y) => decay * Math.sin(Math.PI * x) * Math.sin(Math.PI * y);

let coarser;
for (const cells of [16, 32, 64, 128]) {
  const grid = makeGrid(cells, (x, y) => Math.sin(Math.PI * x) * Math.sin(Math.PI * y));
  advance(grid, 1, endTime / cells, cells);
  const error = largestError(grid, exact);
  const order = coarser === undefined ? undefined : Math.log2(coarser / error);
  console.log(`${cells} cells: error ${error.toExponential(3)}${order ? `, order ${order.toFixed(2)}` : ''}`);
  if (order !== undefined && order < 1.9) {
    console.error('The solver does not converge with second order on this machine');
    process.exit(1);
  }
  coarser = error;
}

// Black over red and yellow to white, as glowing iron does it.
const table = Buffer.alloc(256 * 3);
for (let level = 0; level < 256; level++) {
  for (let channel = 0; channel < 3; channel++) {
    table[level * 3 + channel] = Math.max(0, Math.min(255, level * 3 - channel * 255));
  }
}
writeFileSync('colours.bin', table);
