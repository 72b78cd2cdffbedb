import { benchActivity } from './activity.ts';
import { benchArchive } from './archive.ts';
import { benchFreeze } from './freeze.ts';
import { benchIdle } from './idle.ts';
import { benchMatrix } from './matrix.ts';
import { benchPause } from './pause.ts';
import { benchTrue } from './true.ts';

/** Each bench prints its tables and says whether the limits that hold today were kept. */
const benches: Readonly<Record<string, (options: readonly string[]) => Promise<boolean>>> = {
  true: benchTrue,
  matrix: benchMatrix,
  archive: benchArchive,
  freeze: benchFreeze,
  pause: benchPause,
  activity: benchActivity,
  idle: benchIdle,
};

const [name = '', ...options] = process.argv.slice(2);
const bench = benches[name];
if (bench === undefined) {
  console.error(
    `usage: npm run bench -- ${Object.keys(benches).join(' | ')} [--jobs N | --mib N --files N | --processes N | --seconds N] [--rounds N]`,
  );
  process.exitCode = 2;
} else {
  process.exitCode = (await bench(options)) ? 0 : 1;
}
