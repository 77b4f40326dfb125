// The run that is looked at: its verdicts, and the columns that follow the sliders. All in the page.

import { computed } from "@preact/signals";
import type { ModelState } from "../protocol/messages";
import type { Explorer } from "./explorer";
import { codesOf, countOf, readVerdicts } from "./verdicts";

export class Model {
  #key = "";

  constructor(readonly explorer: Explorer) {}

  /** Which table the IoU slider points at. */
  readonly table = computed(() => {
    const { spec, iou } = this.explorer.store;
    return Math.max(0, spec.value.model?.thresholds.findIndex((t) => Math.abs(t - iou.value) < 1e-6) ?? 0);
  });
  readonly labels = computed(() => (this.explorer.store.spec.value.model?.labels ?? []).reduce((a, b) => a + b, 0));
  readonly counts = computed(() => {
    const { verdicts, confidence, hidden } = this.explorer.store;
    return verdicts.value && countOf(verdicts.value, this.table.value, confidence.value, this.labels.value, hidden.value);
  });

  /** Follow the description: another run or other labels bring other tables. */
  async follow(): Promise<void> {
    const { store } = this.explorer;
    const { model, n } = store.spec.peek();
    const key = model ? `${store.generation.peek()}:${model.key}:${n}` : "";
    if (key === this.#key) return;
    this.#key = key;
    if (!model) {
      store.verdicts.value = null;
      return;
    }
    this.take(model.state);
    const reply = await this.explorer.ask<{ n: number; label_bytes: number }>("model.get", { key: model.key });
    if (!reply || key !== this.#key) return;
    store.verdicts.value = readVerdicts(reply.head.n, Math.max(1, model.thresholds.length), reply.head.label_bytes, reply.buffers);
    this.apply();
  }

  /** Take over where the sliders stand. */
  take({ iou, confidence }: ModelState): void {
    const { store } = this.explorer;
    if (store.iou.peek() === iou && store.confidence.peek() === confidence) return;
    store.iou.value = iou;
    store.confidence.value = confidence;
    this.apply();
  }

  /** Move a slider. */
  set(change: Partial<ModelState>): void {
    const { iou, confidence } = this.explorer.store;
    this.take({ iou: iou.peek(), confidence: confidence.peek(), ...change });
    this.explorer.saveUi();
  }

  /** Put the columns that follow the sliders where columns lie, and recount. */
  apply(): void {
    const { store, columns, counting } = this.explorer;
    const verdicts = store.verdicts.peek();
    const { model, n } = store.spec.peek();
    if (!verdicts || !model || verdicts.n !== n) return;
    const codes = codesOf(verdicts, this.table.peek(), store.confidence.peek(), model.classes.length, model.reasons.indexOf("confidence"));
    for (const [name, bytes] of Object.entries(codes)) columns.put(name, bytes);
    counting.forgetColumns(Object.keys(codes));
    store.codes.value = new Map();
    this.explorer.recompute();
  }
}
