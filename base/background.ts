/**
 * Runs a promise that nobody awaits. A failure there is a bug or a fault nobody can treat, so it ends the process
 * (through Node's own handling of unhandled rejections) instead of being lost.
 */
export function background(task: Promise<unknown>): void {
  task.catch((error: unknown) => {
    queueMicrotask(() => {
      throw error;
    });
  });
}
