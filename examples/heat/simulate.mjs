// One job: node simulate.mjs CONDUCTIVITY MESH
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodePng } from './png.mjs';
import { advance, makeGrid } from './solver.mjs';

const [conductivity, cells] = process.argv.slice(2).map(Number);
const archive = process.env.LABRUN_ARCHIVE;
if (!(conductivity > 0) || !(cells >= 8) || !archive) {
  console.error('usage: node simulate.mjs CONDUCTIVITY MESH, with LABRUN_ARCHIVE set');
  process.exit(2);
}

const endTime = 0.02;
const steps = 800;
const spot = (x, y) =>
  Math.exp(-((x - 0.35) ** 2 + (y - 0.6) ** 2) / 0.01) + 0.6 * (Math.hypot(x - 0.7, y - 0.3) < 0.12);
const grid = makeGrid(cells, spot);
for (let part = 1; part <= 10; part++) {
  advance(grid, conductivity, endTime / steps, steps / 10);
  console.log(`t = ${((endTime * part) / 10).toFixed(4)}  hottest ${hottest(grid).value.toFixed(4)}`);
}

const { points, values } = grid;
const { value: peak, x, y } = hottest(grid);
const middle = Math.round(0.6 * cells);
const profile = Array.from({ length: points }, (_, at) => `${at / cells},${values[middle * points + at]}`);
writeFileSync('profile.csv', `x,temperature\n${profile.join('\n')}\n`);

const colours = readFileSync('colours.bin'); // prepared by the build
const scale = 3;
const side = points * scale;
const rgb = Buffer.alloc(side * side * 3);
for (let row = 0; row < side; row++) {
  for (let column = 0; column < side; column++) {
    const value = values[(points - 1 - Math.floor(row / scale)) * points + Math.floor(column / scale)];
    const level = Math.max(0, Math.min(255, Math.round((255 * value) / peak)));
    rgb.set(colours.subarray(level * 3, level * 3 + 3), (row * side + column) * 3);
  }
}
writeFileSync(join(archive, 'plate.png'), encodePng(side, side, rgb));

const heat = values.reduce((sum, here) => sum + here, 0) / cells ** 2;
writeFileSync(join(archive, 'result.json'), `${JSON.stringify({ hottest: peak, x, y, heat })}\n`);

/** The hottest point and where it is. */
function hottest(of) {
  let at = 0;
  for (let index = 1; index < of.values.length; index++) if (of.values[index] > of.values[at]) at = index;
  return { value: of.values[at], x: (at % of.points) / of.cells, y: Math.floor(at / of.points) / of.cells };
}
