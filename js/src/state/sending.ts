// Edits on their way: sent in the order in which they were made, one at a time, none dropped.

import { signal } from "@preact/signals";

export class Sending {
  /** Edits that were not answered yet. */
  readonly waiting = signal(0);
  #steps: (() => Promise<void>)[] = [];
  #busy = false;

  /** Send when everything before it was answered. A quiet one changes nothing: it does not count as waiting. */
  add<T>(send: () => Promise<T>, quiet = false): Promise<T> {
    if (!quiet) this.waiting.value++;
    return new Promise((resolve, reject) => {
      this.#steps.push(async () => {
        try {
          resolve(await send());
        } catch (error) {
          reject(error);
        }
        if (!quiet) this.waiting.value--;
      });
      void this.#pump();
    });
  }

  /** Send all at once, in order: the page goes away and cannot wait for answers. */
  flush(): void {
    for (const step of this.#steps.splice(0)) void step();
  }

  async #pump(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (let step = this.#steps.shift(); step; step = this.#steps.shift()) await step();
    this.#busy = false;
  }
}
