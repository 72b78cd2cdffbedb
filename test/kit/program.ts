import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the repository. */
export const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The bundled program, as `npm test` and the build leave it. */
export const program = join(repository, 'dist/labrun.js');
