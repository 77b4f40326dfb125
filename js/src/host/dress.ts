// The style sheet of a view: it travels deflated, for text is a tenth of the widget's size and sent with every widget.

const PACKED = /^[\w+/=]+$/;

/** Style a shadow root; settles when the rules are in. Plain CSS (in tests) is taken as it is. */
export async function dress(root: ShadowRoot, css: string): Promise<void> {
  const sheet = new CSSStyleSheet();
  root.adoptedStyleSheets = [sheet];
  sheet.replaceSync(PACKED.test(css) ? await inflate(css) : css);
}

async function inflate(packed: string): Promise<string> {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
}
