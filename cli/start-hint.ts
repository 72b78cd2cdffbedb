import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { unitPath } from './service-plan.ts';
import { type Service, unitName } from './service-unit.ts';

/**
 * What starts a service with this data folder, as it is to be typed. Of one that is installed that is its unit: whoever
 * started it by hand, as root perhaps, would leave files that the service cannot read.
 */
export async function startHint(kind: Service['kind'], data: string, folder = '/'): Promise<string> {
  const byHand = `labrun ${kind} start --data ${data}`;
  let unit: string;
  try {
    unit = await readFile(resolve(folder, `.${unitPath({ kind })}`), 'utf8');
  } catch {
    return byHand; // none is installed, as far as anybody may know who cannot read it
  }
  const words = unit.split(/[\s"]+/);
  return words.includes(resolve(data)) ? `systemctl start ${unitName({ kind })}` : byHand;
}
