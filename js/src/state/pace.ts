// How fast somebody decides: over the last two minutes in which something was done.

const WINDOW_MS = 120_000;
/** A longer break than this counts as this long: nobody is slow for having had a coffee. */
const MOST_PAUSE_MS = 20_000;
const LEAST_MS = 4000;
const LEAST_MARKS = 3;

export class Pace {
  #active = 0; // milliseconds at work
  #last: number | null = null;
  #marks: [active: number, n: number][] = [];

  /** Something was done: time passes. */
  touch(now: number): void {
    if (this.#last !== null) this.#active += Math.min(MOST_PAUSE_MS, Math.max(0, now - this.#last));
    this.#last = now;
  }

  /** `n` were decided; fewer than none when decisions were taken back. */
  add(n: number, now: number): void {
    this.touch(now);
    this.#marks.push([this.#active, n]);
    this.#marks = this.#marks.filter(([at]) => at > this.#active - WINDOW_MS);
  }

  /** Decisions a minute; null while there are too few to tell. */
  get perMinute(): number | null {
    const from = Math.max(0, this.#active - WINDOW_MS);
    const time = this.#active - from;
    if (this.#marks.length < LEAST_MARKS || time < LEAST_MS) return null;
    return Math.max(0, this.#marks.reduce((sum, [, n]) => sum + n, 0) / (time / 60_000));
  }
}

/** How long the rest takes, in words. */
export function timeLeft(left: number, perMinute: number): string {
  const minutes = left / perMinute;
  if (!Number.isFinite(minutes)) return "";
  if (minutes < 1) return "less than a minute left";
  if (minutes < 90) return `about ${Math.round(minutes)} min left`;
  return `about ${(minutes / 60).toFixed(minutes < 600 ? 1 : 0)} h left`;
}
