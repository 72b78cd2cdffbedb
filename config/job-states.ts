/** Every state a job can be seen in, in the order of its life: what the head shows and `--state` takes. */
export const jobStates = [
  'queued',
  'held',
  'assigned',
  'staging',
  'building',
  'running',
  'paused',
  'archiving',
  'cancelling',
  'lapsed',
  'succeeded',
  'failed',
  'cancelled',
] as const;
