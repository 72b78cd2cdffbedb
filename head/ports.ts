import type { Engine } from './engine.ts';
import type { LogRecord } from './scheduler/event.ts';

/** The engine and its log as the doors see them. Whatever they answer is on disk by then. */
export interface HeadEngine extends Pick<Engine, 'submit' | 'query' | 'subscribe'> {
  /** The oldest record kept; 0 when there is none. */
  oldest(): Promise<number>;
  /** Durable records from `since` on, a page at a time, as far as there are any now. */
  records(since: number): AsyncIterable<readonly LogRecord[]>;
}
