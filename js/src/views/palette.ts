// Colours of points: distinct hues for categories, one ordered ramp for numbers, grey for none.

import type { Column, Tag } from "../protocol/messages";
import { LAST_VALUE } from "../render/renderer";
import { NO_CLASS } from "../render/shapes";

// The first eight are told apart by colour-blind eyes too: any two differ by a CIE76 ΔE of 14 or more with simulated
// protanopia, deuteranopia and tritanopia (tests/unit/palette.test.ts), found by a search that began at Tableau's hues.
const LIGHT = ["#346f9f", "#d2752e", "#71b85e", "#c99bd3", "#c82c41", "#42a2a0", "#a17962", "#d1a523", "#e377a2", "#6b7f2a"];
const DARK = ["#819dd2", "#db8248", "#39761b", "#9e6688", "#e15e5a", "#35abb3", "#ce8a88", "#b29605", "#f49cbd", "#9db151"];
const NONE_LIGHT = "#a4a9b0";
const NONE_DARK = "#6c727b";
// Dark blue to yellow, evenly spaced in lightness (viridis, sampled).
const RAMP = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const RAMP_DARK = RAMP.map((_, i) => RAMP[Math.min(RAMP.length - 1, i + 1)]!);

export function hue(i: number, dark: boolean): string {
  const list = dark ? DARK : LIGHT;
  return list[i % list.length]!;
}

/**
 * Colours of classes as they are drawn on pictures: those of the map where the level's class column knows
 * all of them, else by their place in the list.
 */
export function classHues(names: readonly string[], levels: readonly string[] | undefined): Map<string, string> {
  const known = levels && names.every((name) => levels.includes(name));
  return new Map(names.map((name, i) => [name, name === NO_CLASS ? NONE_DARK : hue(known ? levels.indexOf(name) : i, true)]));
}

export function none(dark: boolean): string {
  return dark ? NONE_DARK : NONE_LIGHT;
}

export function tagColor(tags: readonly Tag[], name: string, dark: boolean): string {
  const at = tags.findIndex((t) => t.name === name);
  return tags[at]?.color ?? hue(Math.max(0, at) + 2, dark);
}

export function ramp(share: number, dark: boolean): string {
  const stops = dark ? RAMP_DARK : RAMP;
  const at = Math.min(1, Math.max(0, share)) * (stops.length - 1);
  const [a, b] = [rgb(stops[Math.floor(at)]!), rgb(stops[Math.ceil(at)]!)];
  const f = at - Math.floor(at);
  return `#${a.map((v, i) => Math.round(v + (b[i]! - v) * f).toString(16).padStart(2, "0")).join("")}`;
}

function rgb(hex: string): number[] {
  return [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));
}

/** The colour of a category's level; what is ignored of predictions is grey. */
export function levelHue(column: Column, i: number, dark: boolean): string {
  return column.name === "outcome" && i > 1 ? none(dark) : hue(i, dark);
}

/** The 256 colours of the map for a column; index 255 is a missing value. */
export function pointPalette(column: Column | undefined, dark: boolean): Uint8Array {
  const out = new Uint8Array(256 * 4);
  const bins = column?.hist?.bins ?? 1;
  for (let i = 0; i < 256; i++) {
    let color = hue(0, dark);
    if (column?.kind === "category") color = i <= LAST_VALUE ? levelHue(column, i, dark) : none(dark);
    else if (column?.kind === "number") color = i === 255 ? none(dark) : ramp(bins > 1 ? i / (bins - 1) : 0.5, dark);
    const [r, g, b] = rgb(color);
    out.set([r!, g!, b!, i > LAST_VALUE && column ? 150 : 215], i * 4);
  }
  return out;
}
