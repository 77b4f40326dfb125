// Where cards of tiles lie in a scrolled list: row by row, by arithmetic alone.

export interface CardPlace {
  x: number;
  y: number;
  width: number;
  height: number;
  /** Tiles side by side in it. */
  columns: number;
}
export interface CardLayout {
  cards: CardPlace[];
  height: number;
}
export interface CardSizes {
  tile: number;
  /** What is written below a picture. */
  text: number;
  head: number;
  gap: number;
  pad: number;
  least: number;
}

/** Cards row by row, each as wide as its tiles, in as many rows of tiles as it needs. */
export function layCards(sizes: readonly number[], width: number, s: CardSizes): CardLayout {
  const cards: CardPlace[] = [];
  const usable = Math.max(s.tile + 2 * s.pad, width - 2 * s.gap);
  const most = Math.max(1, Math.floor((usable - 2 * s.pad + s.gap) / (s.tile + s.gap)));
  let [x, y, tall] = [s.gap, s.gap, 0];
  for (const size of sizes) {
    const columns = Math.min(size, most);
    const own = Math.min(usable, Math.max(s.least, 2 * s.pad + columns * (s.tile + s.gap) - s.gap));
    const rows = Math.ceil(size / columns);
    const height = s.head + 2 * s.pad + rows * (s.tile + s.text + s.gap) - s.gap;
    if (x > s.gap && x + own > s.gap + usable) [x, y, tall] = [s.gap, y + tall + s.gap, 0];
    cards.push({ x, y, width: own, height, columns });
    x += own + s.gap;
    tall = Math.max(tall, height);
  }
  return { cards, height: cards.length ? y + tall + s.gap : 0 };
}

/** The cards that meet a window: `from` to below `to`. Rows are as high as their highest card. */
export function cardsWithin(layout: CardLayout, top: number, bottom: number): [number, number] {
  const { cards } = layout;
  // The first card that begins below the top; its row's predecessors may still reach into the window.
  let [low, high] = [0, cards.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cards[middle]!.y < top) low = middle + 1;
    else high = middle;
  }
  const row = low > 0 ? cards[low - 1]!.y : 0;
  let from = low;
  while (from > 0 && cards[from - 1]!.y === row) from--;
  let to = low;
  while (to < cards.length && cards[to]!.y < bottom) to++;
  return [from, to];
}

/** The card that an arrow key leads to: of the next row up or down the one above or below. */
export function cardBeside(layout: CardLayout, at: number, down: boolean): number {
  const { cards } = layout;
  const here = cards[at];
  if (!here) return at;
  const step = down ? 1 : -1;
  let next = at + step;
  while (cards[next] && cards[next]!.y === here.y) next += step;
  const row = cards[next]?.y;
  if (row === undefined) return at;
  let best = next;
  for (let i = next; cards[i] && cards[i]!.y === row; i += step) if (Math.abs(cards[i]!.x - here.x) < Math.abs(cards[best]!.x - here.x)) best = i;
  return best;
}
