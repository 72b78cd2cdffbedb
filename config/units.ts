/** Amounts and times as people write them. Readers answer nothing for what they cannot read. */

const byteUnits: Readonly<Record<string, number>> = { '': 1, B: 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const timeUnits: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Bytes from `512`, `8G`, `1.5M`, `64KiB` (powers of 1024). */
export function readBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  const unit = byteUnits[(match?.[2] ?? '').toUpperCase()];
  return match && unit !== undefined ? Math.round(Number(match[1]) * unit) : undefined;
}

/** Milliseconds from `90s`, `2h`, `1h30m10s`, `1d`. */
export function readDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(trimmed)) return undefined;
  let total = 0;
  for (const [, amount, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g))
    total += Number(amount) * (timeUnits[unit ?? ''] ?? 0);
  return Math.round(total);
}

/** The same time exactly, as `readDuration` reads it: `1h30m10s`, `0s`. Milliseconds, a whole number. */
export function writeDuration(durationMs: number): string {
  let left = durationMs;
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms']) {
    const size = timeUnits[unit] ?? 1;
    const amount = Math.floor(left / size);
    if (amount > 0) text += `${amount}${unit}`;
    left -= amount * size;
  }
  return text || '0s';
}

/** `1.5 GiB`, `12 KiB`, `7 B`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  const amount = bytes / 2 ** (10 * step);
  return `${step === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${units[step]}`;
}

/** `350ms`, `4.2s`, `3m05s`, `2h10m`, `1d04h`. */
export function formatDuration(durationMs: number): string {
  const pad = (value: number) => String(value).padStart(2, '0');
  if (durationMs < 1_000) return `${Math.round(durationMs)}ms`;
  if (durationMs < 60_000) return `${(Math.floor(durationMs / 100) / 10).toFixed(1)}s`;
  const minutes = Math.floor(durationMs / 60_000);
  if (minutes < 60) return `${minutes}m${pad(Math.floor(durationMs / 1_000) % 60)}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours}h${pad(minutes % 60)}m` : `${Math.floor(hours / 24)}d${pad(hours % 24)}h`;
}
