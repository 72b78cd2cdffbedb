import { sampleJobFile, sampleKinds } from '../config/sample.ts';
import { exitCodes, usageError } from './exit.ts';
import type { Printer } from './print.ts';

/** Prints a job file to start from; what to save it as is said beside it. */
export async function template(
  [kind]: readonly string[],
  options: { readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const known = sampleKinds.find((one) => one === kind);
  if (!known) throw usageError(`Cannot print a template for "${kind}": choose one of ${sampleKinds.join(', ')}`);
  const sample = sampleJobFile(known);
  if (options.json) print.json(sample);
  else {
    await print.bytes(Buffer.from(sample.text));
    print.note(`Save it as ${sample.fileName}: labrun template ${known} > ${sample.fileName}`);
  }
  return exitCodes.done;
}
