import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';

interface Pair {
  readonly what: string;
  /** As the browser computed them, like `rgb(28, 30, 33)`. */
  readonly colour: string;
  readonly ground: string;
}

/** Expects every text to stand out from what it stands on, and what is typed into to have an edge (WCAG 1.4.3, 1.4.11). */
export async function expectContrast(page: Page): Promise<void> {
  const { texts, edges } = await page.evaluate<{ texts: Pair[]; edges: Pair[] }>(`(() => {
    ${groundOf}
    const all = [...document.body.querySelectorAll('*')].filter((element) => element.checkVisibility());
    const hasText = (element) =>
      [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== '');
    const texts = all.filter(hasText).map((element) =>
      ({ what: element.textContent.trim(), colour: getComputedStyle(element).color, ground: groundOf(element) }));
    const edges = all.filter((element) => element.matches('input')).map((element) =>
      ({ what: element.name, colour: getComputedStyle(element).borderTopColor, ground: groundOf(element.parentElement) }));
    return { texts, edges };
  })()`);
  assert.ok(texts.length > 0, 'the page says nothing');
  for (const pair of texts) expectRatio(pair, 4.5);
  for (const pair of edges) expectRatio(pair, 3);
}

/**
 * Expects whatever the keyboard is on to be outlined so that one sees it. What has the focus by itself has it only once
 * the page is whole and was drawn, so that is waited for. @returns its text, or its name.
 */
export async function expectVisibleFocus(page: Page): Promise<string> {
  await page.waitForLoadState();
  await page.waitForFunction('document.activeElement?.parentElement && document.activeElement !== document.body');
  const { width, ...pair } = await page.evaluate<Pair & { width: number }>(`(() => {
    ${groundOf}
    const focused = document.activeElement;
    const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(focused);
    return {
      what: focused.textContent.trim() || focused.name,
      width: outlineStyle === 'solid' ? Number.parseFloat(outlineWidth) : 0,
      colour: outlineColor,
      ground: groundOf(focused.parentElement),
    };
  })()`);
  assert.ok(width >= 2, `\`${pair.what}\` has the focus, and one does not see it`);
  expectRatio(pair, 3);
  return pair.what.replaceAll(/\s+/g, ' ');
}

/** Expects that nothing is to be scrolled for sideways. */
export async function expectToFit(page: Page): Promise<void> {
  const [content, window] = await page.evaluate<[number, number]>(
    '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
  );
  assert.ok(content <= window, `${content} pixels of \`${page.url()}\` do not fit into ${window}`);
}

/** Between 0, black, and 1, white. */
export async function groundLuminance(page: Page): Promise<number> {
  return luminance(await page.evaluate<string>('getComputedStyle(document.body).backgroundColor'));
}

const groundOf = `const groundOf = (element) => {
  const ground = getComputedStyle(element).backgroundColor;
  return ground === 'rgba(0, 0, 0, 0)' ? groundOf(element.parentElement) : ground;
};`;

function expectRatio({ what, colour, ground }: Pair, least: number): void {
  const [darker, lighter] = [luminance(colour), luminance(ground)].sort((a, b) => a - b) as [number, number];
  const ratio = (lighter + 0.05) / (darker + 0.05);
  assert.ok(ratio >= least, `\`${what}\` is hard to see: ${colour} on ${ground} is 1 to ${ratio.toFixed(2)}`);
}

/** The relative luminance of WCAG 2. Only for opaque colours: others would need what lies below. */
function luminance(colour: string): number {
  const channels = /^rgb\((\d+), (\d+), (\d+)\)$/.exec(colour)?.slice(1).map(Number);
  assert.ok(channels, `${colour} is no opaque colour`);
  const [red, green, blue] = channels.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
