import { unreachable } from '../../base/assert.ts';
import type { CapabilityNeed } from '../../config/spec.ts';
import type { NodeFacts } from './event.ts';

/** Whether a machine offers what is needed; a need without a version takes any. */
export function offers(facts: NodeFacts, need: CapabilityNeed): boolean {
  if (!Object.hasOwn(facts.capabilities, need.name)) return false;
  if (need.comparison === undefined || need.version === undefined) return true;
  const version = facts.capabilities[need.name] ?? '';
  if (version === '') return false;
  const order = compareVersions(version, need.version);
  switch (need.comparison) {
    case '>=':
      return order >= 0;
    case '>':
      return order > 0;
    case '=':
      return order === 0;
    case '<=':
      return order <= 0;
    case '<':
      return order < 0;
    default:
      return unreachable(need.comparison);
  }
}

/** Orders versions part by part, numbers as numbers: 9.10 is after 9.9, and 9 equals 9.0. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [one.match(/\d+|[a-z]+/gi) ?? [], other.match(/\d+|[a-z]+/gi) ?? []];
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const [left = '0', right = '0'] = [a[at], b[at]];
    const bothNumbers = /^\d/.test(left) && /^\d/.test(right);
    const order = bothNumbers ? Number(left) - Number(right) : left < right ? -1 : left > right ? 1 : 0;
    if (order !== 0) return order;
  }
  return 0;
}

/** A need as people write it: `openfoam>=1912`. */
export function formatNeed(need: CapabilityNeed): string {
  return `${need.name}${need.comparison ?? ''}${need.version ?? ''}`;
}
