// Colours of classes stay apart for colour-blind eyes: simulated, then measured as CIE76 ΔE in CIELAB.
import { describe, expect, it } from "vitest";
import { hue } from "../../src/views/palette";

// Full dichromacy in linear RGB: Machado, Oliveira & Fernandes 2009, severity 1.
const SEEN = {
  normal: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritanopia: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
};
/** The least difference of any two; 2.3 is just noticeable, side by side. */
const LEAST: Record<keyof typeof SEEN, number> = { normal: 24, protanopia: 14, deuteranopia: 14, tritanopia: 14 };

function lab(hex: string, m: number[]): number[] {
  const rgb = [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16) / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  const [r, g, b] = [0, 3, 6].map((i) => Math.min(1, Math.max(0, m[i]! * rgb[0]! + m[i + 1]! * rgb[1]! + m[i + 2]! * rgb[2]!))) as [number, number, number];
  const f = (t: number): number => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const [x, y, z] = [f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047), f(0.2126729 * r + 0.7151522 * g + 0.072175 * b), f((0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883)];
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

function least(dark: boolean, m: number[]): number {
  const colors = Array.from({ length: 8 }, (_, i) => lab(hue(i, dark), m));
  return Math.min(...colors.flatMap((a, i) => colors.slice(i + 1).map((b) => Math.hypot(a[0]! - b[0]!, a[1]! - b[1]!, a[2]! - b[2]!))));
}

describe("the first eight colours", () => {
  for (const [sight, matrix] of Object.entries(SEEN))
    for (const dark of [false, true])
      it(`differ with ${sight}, ${dark ? "dark" : "light"}`, () => {
        expect(least(dark, matrix)).toBeGreaterThanOrEqual(LEAST[sight as keyof typeof SEEN]);
      });
});
